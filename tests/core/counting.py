"""Expectations of LLM events, against counts that are written down."""

from __future__ import annotations

from typing import Any

from scripted_io import (
    ID,
    START,
    ScriptedIO,
    calls_of,
    record,
)

from pytest_hydrasmoke import LlmEventsError
from pytest_hydrasmoke._core.expected import Expected
from pytest_hydrasmoke._core.llm_events import Usage
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.turn_account import Count, TurnAccount
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.protocol import drive


def ready(*baselines: Count, born: float | None = START) -> InstanceRecord:
    it = record(state=State.READY, id=ID)
    it.born = born
    if baselines:
        it.account = TurnAccount(*baselines)
    return it


def account_of(it: InstanceRecord) -> TurnAccount:
    assert it.account is not None
    return it.account


def turn_of(
    wanted: Expected, it: InstanceRecord, *steps: Any, timeout: float = 30
) -> tuple[ScriptedIO, Any]:
    """Expect events of a turn, and give what came of it: the last answer, or the error."""
    io, calls = calls_of(it, llm_events=steps)
    try:
        return io, drive(Usage(calls, it, timeout).of_turn(wanted, account_of(it)))
    except LlmEventsError as error:
        return io, error


def window_of(wanted: Expected, *steps: Any, timeout: float = 30) -> tuple[ScriptedIO, Any]:
    """Do the same for the last 900 s."""
    it = ready()
    io, calls = calls_of(it, llm_events=steps)
    try:
        return io, drive(Usage(calls, it, timeout).of_window(wanted))
    except LlmEventsError as error:
        return io, error


def windows(io: ScriptedIO) -> list[int]:
    return [int(sent.request.path.rpartition("=")[2]) for sent in io.sent]


def names(given: str) -> frozenset[str]:
    return frozenset(given)


BEFORE = Count(START, 5, frozenset("a"))
