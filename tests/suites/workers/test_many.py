"""Tests that any worker may run, with and without the shared instance."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_hydrasmoke import SmokeInstance


@pytest.mark.parametrize("number", range(4))
def test_turn(smoke_instance: SmokeInstance, worker: str, number: int) -> None:
    turn = smoke_instance.chat(str(number))
    events = turn.expect_llm_events()
    with Path("turns").open("a", encoding="utf-8") as file:
        file.write(f"{worker} {events.count}\n")


@pytest.mark.parametrize("number", range(4))
def test_plain(number: int) -> None: ...
