"""Two groups, each for a worker of its own; both use the shared instance."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pytest_hydrasmoke import SmokeInstance


def until_there(name: str) -> None:
    end = time.monotonic() + 60
    while not Path(name).exists():
        assert time.monotonic() < end, f"{name} did not come"
        time.sleep(0.01)


@pytest.mark.xdist_group("one")
def test_holds_it(smoke_instance: SmokeInstance) -> None:
    Path("held").touch()
    until_there("another ran")


@pytest.mark.xdist_group("two")
def test_another_runs_meanwhile() -> None:
    until_there("held")
    Path("another ran").touch()


@pytest.mark.parametrize("number", range(2))
@pytest.mark.parametrize(
    "group",
    [
        pytest.param("one", marks=pytest.mark.xdist_group("one")),
        pytest.param("two", marks=pytest.mark.xdist_group("two")),
    ],
)
def test_turn(smoke_instance: SmokeInstance, worker: str, group: str, number: int) -> None:
    turn = smoke_instance.chat(f"{group} {number}")
    events = turn.expect_llm_events()
    with Path("turns").open("a", encoding="utf-8") as file:
        file.write(f"{worker} {events.count}\n")
