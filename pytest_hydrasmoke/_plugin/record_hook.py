"""The hook by which users edit turns before they are written, and messages as they are replayed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_hydrasmoke._base.errors import at_hook
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._recordings.format import NotWrittenError, RecordedTurn
from pytest_hydrasmoke._recordings.masking import Edit

HOOK = "pytest_hydra_smoke_record"
"""Sees each turn before it is written: users remove private words with it."""


def edit_of(manager: pytest.PytestPluginManager) -> Edit:
    """Return a function that applies all implementations of the hook to a turn, one by one."""
    impls = getattr(manager.hook, HOOK).get_hookimpls()
    plugins: list[object] = [impl.plugin for impl in impls]
    # In the order in which pluggy calls them.
    callers = [
        manager.subset_hook_caller(HOOK, [other for other in plugins if other is not plugin])
        for plugin in reversed(plugins)
    ]

    def edit(turn: RecordedTurn) -> RecordedTurn | None:
        edited: RecordedTurn | None = turn
        for caller in callers:
            edited = edited and _edited(caller, edited)
        return edited

    return edit


def _edited(caller: Callable[..., list[object]], turn: RecordedTurn) -> RecordedTurn | None:
    """Return an implementation's result for a turn; raises `NotWrittenError`."""
    try:
        results = caller(turn=turn)
    except Exception as error:
        what = safe_line(repr(error))
        raise NotWrittenError(f"{HOOK} failed{at_hook(error)}: {what}") from None
    if not results:  # pluggy drops results that are None.
        return None
    edited = results[0]
    problem = _problem(edited, turn)
    if problem is None and isinstance(edited, RecordedTurn):
        return edited
    raise NotWrittenError(
        f"{HOOK} returned {problem}: return the turn, with another message or text by "
        "dataclasses.replace, or None to leave it out"
    )


def _problem(edited: object, turn: RecordedTurn) -> str | None:
    if not isinstance(edited, RecordedTurn):
        return safe_line(repr(edited), 60)
    for name in ("message", "text"):
        value: object = getattr(edited, name)
        if not isinstance(value, str):
            return f"a turn whose {name} is {safe_line(repr(value), 60)}"
        try:
            value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return f"a turn whose {name} can't be encoded"
    if (edited.owner, edited.run) != (turn.owner, turn.run):
        return "a turn of another owner or run"
    return None
