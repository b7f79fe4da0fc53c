"""Recording: turns are kept as they end, for a run's end, masked and edited by the user's hook.

The process that runs a test adds its turns to the run's tape; the main process writes the files
(`recording_end`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import pytest

from pytest_hydrasmoke._base.errors import at_hook
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._core.stage import RecordedChat, RecordedPartner
from pytest_hydrasmoke._recordings.format import (
    NotWrittenError,
    Place,
    Recorded,
    RecordedTurn,
    as_text,
)
from pytest_hydrasmoke._recordings.masking import Edit, Masking
from pytest_hydrasmoke._recordings.store import Tape
from pytest_hydrasmoke._run.folder import RECORDED

from .bundled_checks import PACKAGE
from .pytest_stage import LIVE_ONLY

if TYPE_CHECKING:
    from .process import Process

NOT_RECORDED, UNWRITTEN = "not recorded", "could not be written"
"""What can become of turns that are in no file."""
_HOOK = "pytest_hydra_smoke_record"
"""Sees each turn before it is written: users remove private words with it."""


class Recorder:
    """Records the turns in this process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.tape = Tape(None if process.elsewhere else process.ledger.folder / RECORDED)
        self._scrub = process.scrub
        self._turns: dict[str, list[tuple[Recorded, RecordedChat]]] = {}
        self._test: pytest.Item | None = None
        """The running test."""
        self._failed: set[str] = set()
        """Tests, and fixtures that outlive one, that failed when they last ran or were set up."""
        self._not_passed: set[str] = set()

    @property
    def not_passed(self) -> set[str]:
        """The tests that did not pass, in the main process all of the run's, as in recordings.

        One that was skipped, say, may still ask what was recorded.
        """
        return set(map(self._scrub, self._not_passed))

    @property
    def failed_tests(self) -> set[str]:
        """Those of them that failed when they last ran."""
        return set(map(self._scrub, self._failed & self._not_passed))

    def on_turn(self, turn: RecordedChat) -> None:
        """Begin to record a turn, for the current owner, unless it is not to be recorded."""
        stage, test = self._process.stage, self._test
        owner = stage.owner
        if owner is None or owner.startswith(PACKAGE):
            return  # Only a real router can answer the bundled checks.
        if test is not None and test.nodeid == owner and test.get_closest_marker(LIVE_ONLY):
            return
        spec = turn.partner.spec
        plain = {} if spec is None else spec.model_dump(exclude_none=True)
        begun = Recorded(stage.run, self._place(turn.partner, owner), plain, turn.message)
        turn.records()
        self._turns.setdefault(owner, []).append((begun, turn))

    @contextmanager
    def setting_up(self, owner: str) -> Generator[None]:
        """Drop the turns of a wider fixture's set-up that fails: a plugin may repeat it."""
        earlier = len(self._turns.get(owner, ()))
        try:
            yield
        except (pytest.skip.Exception, pytest.xfail.Exception):
            raise  # In a replay it does the same.
        except BaseException:
            self._failed.add(owner)
            del self._turns.get(owner, [])[earlier:]
            raise
        self._failed.discard(owner)

    def _place(self, partner: RecordedPartner, owner: str) -> Place:
        if partner.key is None and not partner.attached:
            return None  # It is outside of the run.
        if partner.origin is None:
            return "shared"
        number = partner.origin.number
        if partner.origin.owner == owner:
            return number
        return {"of": self._scrub(partner.origin.owner), "number": number}

    # Hooks

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._test = item
        result = yield
        self._test = None
        # A test that skips half-way, or is expected to fail, does the same in a replay.
        self._ends(item.nodeid, "it failed" if item.nodeid in self._failed else None)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        # A plugin may run a test again: what a hook has said to its instances is void, too.
        self._turns.pop(item.nodeid, None)
        place = self._scrub(item.nodeid)
        for owner, turns in self._turns.items():
            self._turns[owner] = [it for it in turns if not _is_of(place, it[0].instance)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if LIVE_ONLY not in report.keywords and not report.passed:
            self._not_passed.add(report.nodeid)
        if report.when == "setup":
            self._failed.discard(report.nodeid)
        if report.failed:
            self._failed.add(report.nodeid)

    def finish(self) -> None:
        """Add the turns outside of tests, and those of one that was interrupted."""
        for owner in [*self._turns]:
            interrupted = self._test is not None and owner == self._test.nodeid
            failed = "its set-up failed" if owner in self._failed else None
            self._ends(owner, "it was interrupted" if interrupted else failed)

    @cached_property
    def masking(self) -> Masking:
        # Once tests are collected, every conftest is loaded.
        edit = edit_of(self._process.pytestconfig.pluginmanager)
        return Masking(self._process.config.token, self._process.reading, edit)

    def _ends(self, owner: str, why_not: str | None) -> None:
        """Add an owner's turns to the tape, or why they are not recorded; harmless without any."""
        begun = self._turns.pop(owner, None)
        if begun is None or not (begun or why_not):
            return
        name, what, why = self._scrub(owner), NOT_RECORDED, why_not
        if why is None:
            why = f"{_HOOK} left out all of its turns"
            try:
                masked = [self.masking.turn(name, *turn) for turn in begun]
                if turns := [turn for turn in masked if turn is not None]:
                    self.tape.add(of=name, turns=as_text("", turns, ""))
                    return
            except Exception as error:
                what, why = UNWRITTEN, in_words(error)
        self.tape.add(of=name, what=what, why=self.clean(why))

    def clean(self, why: str) -> str:
        """Return a reason on one line, without the token."""
        return safe_line(self._scrub(why), 400)


def _is_of(owner: str, place: Place) -> bool:
    return isinstance(place, dict) and place["of"] == owner


def in_words(error: Exception) -> str:
    """Return why turns could not be written."""
    return str(error) if isinstance(error, NotWrittenError) else f"{type(error).__name__}: {error}"


def edit_of(manager: pytest.PytestPluginManager) -> Edit:
    """Return a function that applies all implementations of the hook to a turn, one by one."""
    impls = getattr(manager.hook, _HOOK).get_hookimpls()
    plugins: list[object] = [impl.plugin for impl in impls]
    # In the order in which pluggy calls them.
    callers = [
        manager.subset_hook_caller(_HOOK, [other for other in plugins if other is not plugin])
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
        raise NotWrittenError(f"{_HOOK} failed{at_hook(error)}: {what}") from None
    if not results:  # pluggy drops results that are None.
        return None
    edited = results[0]
    problem = _problem(edited, turn)
    if problem is None and isinstance(edited, RecordedTurn):
        return edited
    raise NotWrittenError(
        f"{_HOOK} returned {problem}: return the turn, with another message or text by "
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
