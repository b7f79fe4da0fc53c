"""Turns right after each other, on one instance: the second leaves no LLM event."""

from __future__ import annotations

import pytest

from conftest import Takes
from pytest_hydrasmoke import SmokeInstance


@pytest.mark.xdist_group("one")
def test_first(smoke_instance: SmokeInstance) -> None:
    smoke_instance.chat("leaves one")


@pytest.mark.xdist_group("two")
def test_second(takes: Takes) -> None:
    turn = takes("test_first").chat("leaves none")
    turn.expect_llm_events(at_least=1, timeout=1)


@pytest.mark.xdist_group("one")
def test_third(takes: Takes) -> None:
    takes("test_second").chat("leaves one")


@pytest.mark.xdist_group("two")
def test_fourth(takes: Takes) -> None:
    turn = takes("test_third").chat("leaves one")
    turn.expect_llm_events(at_most=1)
