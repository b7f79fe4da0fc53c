"""Recording: turns are kept as they end, for a run's end, masked and edited by the user's hook.

The process that runs a test adds its turns to the run's tape; the main process writes the files
(`recording_end`).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import cached_property
from typing import Protocol

import pytest

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._core.stage import RecordedChat, RecordedTarget
from pytest_hydrasmoke._recordings.format import (
    NotWrittenError,
    Place,
    Recorded,
    as_text,
)
from pytest_hydrasmoke._recordings.masking import Masking
from pytest_hydrasmoke._recordings.store import Tape
from pytest_hydrasmoke._run.folder import RECORDED

from .bundled_checks import PACKAGE
from .context import LIVE_ONLY, RunContext
from .record_hook import HOOK, edit_of
from .resources import Resources

NOT_RECORDED, UNWRITTEN = "not recorded", "could not be written"
"""What can become of turns that are in no file."""


class OnStage(Protocol):
    """Whose turns they are."""

    @property
    def owner(self) -> str | None:
        """A test, a fixture or a hook; None outside of any."""
        ...

    @property
    def run(self) -> int:
        """The run of the test's body, from 1."""
        ...


class Recorder:
    """Records the turns in this process."""

    def __init__(self, context: RunContext, *, resources: Resources, stage: OnStage) -> None:
        self._context = context
        self._resources = resources
        self._stage = stage
        self.tape = Tape(None if context.elsewhere else resources.ledger.folder / RECORDED)
        self._scrub = context.scrub
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
        stage, test = self._stage, self._test
        owner = stage.owner
        if owner is None or owner.startswith(PACKAGE):
            return  # Only a real router can answer the bundled checks.
        if test is not None and test.nodeid == owner and test.get_closest_marker(LIVE_ONLY):
            return
        spec = turn.target.spec
        plain = {} if spec is None else spec.model_dump(exclude_none=True)
        begun = Recorded(stage.run, self._place(turn.target, owner), plain, turn.message)
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

    def _place(self, target: RecordedTarget, owner: str) -> Place:
        if target.key is None and not target.attached:
            return None  # It is outside of the run.
        if target.origin is None:
            return "shared"
        number = target.origin.number
        if target.origin.owner == owner:
            return number
        return {"of": self._scrub(target.origin.owner), "number": number}

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
        edit = edit_of(self._context.pytestconfig.pluginmanager)
        return Masking(self._context.config.token, self._resources.reading, edit)

    def _ends(self, owner: str, why_not: str | None) -> None:
        """Add an owner's turns to the tape, or why they are not recorded; harmless without any."""
        begun = self._turns.pop(owner, None)
        if begun is None or not (begun or why_not):
            return
        name, what, why = self._scrub(owner), NOT_RECORDED, why_not
        if why is None:
            why = f"{HOOK} left out all of its turns"
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
