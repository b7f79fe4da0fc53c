"""Turns that are told to a run without being taken."""

from __future__ import annotations

from typing import Any

from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.chat import TurnBegan, TurnOver


def begin(it: InstanceRecord, before: int | None, at: float) -> int:
    """Begin a turn before which so many events were counted; return its number."""
    turns = it.run_turns
    began = TurnBegan(*(1, None), before=before, sure=True, by=turns.process, spec=it.spec_name)
    turns.begin(it.turns_name, began, at)
    return it.settling.number


def end(it: InstanceRecord, at: float, how: str = "ended", **more: Any) -> None:
    it.run_turns.note(it.turns_name, TurnOver(it.settling.number, how, **more), at)


def know(it: InstanceRecord, **changes: Any) -> None:
    """Let this have been measured on an instance."""
    it.run_turns._known[it.turns_name] = known = it.settling._replace(**changes)
    it.run_turns._longest = known.longest
