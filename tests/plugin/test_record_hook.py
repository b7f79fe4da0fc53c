"""The hook that edits what is recorded: one after the other, and what each returns is checked."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_hydrasmoke import RecordedTurn, _hookspecs
from pytest_hydrasmoke._plugin.record_hook import edit_of
from pytest_hydrasmoke._recordings.format import NotWrittenError

TURN = RecordedTurn("test_it.py::test_it", 1, "Hello", "data: I am\n\n")


def edited(*returned: Any) -> RecordedTurn | None:
    manager = pytest.PytestPluginManager()
    manager.add_hookspecs(_hookspecs)
    for value in returned:
        manager.register(Plugin(value))
    return edit_of(manager)(TURN)


class Plugin:
    """Implements the hook: returns a value, or what a function makes of the turn."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def pytest_hydra_smoke_record(self, turn: RecordedTurn) -> Any:
        return self._value(turn) if callable(self._value) else self._value


def said(word: str) -> Any:
    return lambda turn: RecordedTurn(turn.owner, turn.run, turn.message + word, turn.text)


def test_implementations_see_a_turn_one_after_the_other() -> None:
    changed = edited(said(" 1"), said(" 2"))
    assert changed is not None
    assert changed.message == "Hello 2 1"


def test_one_that_returns_nothing_leaves_the_turn_out() -> None:
    assert edited(said(" 1"), None) is None
    assert edited(None, said(" 1")) is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (3, "returned 3: return the turn"),
        (RecordedTurn(TURN.owner, 1, "", b""), "returned a turn whose text is b''"),  # type: ignore[arg-type]
        (RecordedTurn(TURN.owner, 1, "\ud800", ""), "returned a turn whose message can't be enc"),
        (RecordedTurn(TURN.owner, 2, "", ""), "returned a turn of another owner or run"),
        (lambda turn: 1 / 0, r"failed at \S*test_record_hook.py:\d+: ZeroDivisionError"),
    ],
)
def test_what_it_returns_is_checked(value: Any, problem: str) -> None:
    with pytest.raises(NotWrittenError, match=f"pytest_hydra_smoke_record {problem}"):
        edited(value)


def test_without_one_a_turn_stays_as_it_is() -> None:
    assert edited() is TURN
