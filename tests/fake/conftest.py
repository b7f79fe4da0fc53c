"""Fixtures of the fake router's tests: nothing in here waits for real time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fake_tools import Caller, Calling, HandClock
from recording_tools import write
from replay_tools import TEST, Playing, Process

from pytest_hydrasmoke.fake import FakeRouter, Scenario


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def calling(clock: HandClock) -> Iterator[Calling]:
    """Give `calling(**scenario)`: a caller of a router with that scenario, on the hand clock.

    LLM events are there as soon as their turn is over, unless a test is about their lag.
    """
    with ExitStack() as stack:

        def make(**scenario: Any) -> Caller:
            router = stack.enter_context(
                FakeRouter(Scenario(**{"llm_events_lag": 0, **scenario}), clock=clock)
            )
            caller = Caller(router)
            stack.callback(caller.http.close)
            return caller

        yield make


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Any]:
    def make(*turns: dict[str, Any], of: str = TEST) -> Process:
        write(tmp_path, of, *turns)
        process = Process(tmp_path)
        process.begin(of)
        return process

    return make


@pytest.fixture
def playing(tmp_path: Path, clock: HandClock) -> Iterator[Playing]:
    with ExitStack() as stack:
        yield Playing(tmp_path / "recordings", clock, stack)
