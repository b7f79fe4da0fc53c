"""Tests of an agent that remembers what it is told."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke import SmokeInstance


def test_it_remembers(smoke_instance: SmokeInstance) -> None:
    smoke_instance.chat("My name is Ada.")
    assert "My name is Ada." in smoke_instance.chat("recall what I said").text


def test_it_knows_nobody_yet(smoke_instance: SmokeInstance) -> None:
    assert "Ada" not in smoke_instance.chat("recall what I said").text


@pytest.mark.hydra_smoke_continues
def test_it_goes_on(smoke_instance: SmokeInstance) -> None:
    assert "recall what I said" in smoke_instance.chat("recall what I said").text
