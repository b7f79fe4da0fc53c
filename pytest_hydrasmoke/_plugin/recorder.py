"""Recording: turns of tests that passed are kept as they end, and written when the run is over.

The process that runs a test masks and edits its turns, and adds them to the run's tape. The main
process writes all files, those of fixtures and hooks from what several workers have told of them.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hydrasmoke._base.text import first_few, safe_line
from pytest_hydrasmoke._core.open_turn import OpenTurn
from pytest_hydrasmoke._core.partner import Partner
from pytest_hydrasmoke._options import FAKE, LIVE, flag
from pytest_hydrasmoke._recordings import manners
from pytest_hydrasmoke._recordings.compare import compared, overlaid
from pytest_hydrasmoke._recordings.format import (
    KINDS,
    NotWrittenError,
    Place,
    Recorded,
    as_text,
    turns_of,
)
from pytest_hydrasmoke._recordings.manners import ROUTER
from pytest_hydrasmoke._recordings.masking import Masking
from pytest_hydrasmoke._recordings.store import RecordingStore, Tape
from pytest_hydrasmoke._report.model import Report
from pytest_hydrasmoke._run.folder import RECORDED

from .bundled_checks import PACKAGE
from .pytest_stage import owner_of
from .record_hook import NAME, edit_of
from .replaying import LIVE_ONLY, as_argument
from .run_report import code

if TYPE_CHECKING:
    from .process import Process

NEW, CHANGED, SAME, NOT_RECORDED, UNWRITTEN = _WHATS = (
    *("new", "changed", "unchanged", "not recorded", "could not be written"),
)
"""What can become of a recording."""
_MOST = 10
"""How many of a kind the summary lists."""


class Recorder:
    """Records turns in this process; in the main process, writes and reports on all of them."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._pytest = process.pytestconfig
        self.tape = Tape(None if process.elsewhere else process.ledger.folder / RECORDED)
        self._recordings = process.recordings
        """The folder, in the main process."""
        self._scrub = process.scrub
        self._turns: dict[str, list[tuple[Recorded, OpenTurn]]] = {}
        self._test: pytest.Item | None = None
        """The running test."""
        self._failed: set[str] = set()
        """Tests, and fixtures that outlive one, that failed when they last ran or were set up."""
        self._reported: set[str] = set()
        self._came: dict[str, tuple[str, str]] = {}
        """What has become of each owner's recording, and why."""
        self._lines: list[str] = []

    def on_turn(self, turn: OpenTurn) -> None:
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

    def _place(self, record: Partner, owner: str) -> Place:
        if record.key is None and not record.attached:
            return None  # It is outside of the run.
        if record.origin is None:
            return "shared"
        number = record.origin.number
        if record.origin.owner == owner:
            return number
        return {"of": self._scrub(record.origin.owner), "number": number}

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
        self._turns.pop(item.nodeid, None)  # A plugin may run a test again.

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """Drop the turns of a wider fixture's set-up that failed: a plugin may repeat it."""
        __tracebackhide__ = True  # An error of the fixture does not come from here.
        if fixturedef.scope == "function":
            return (yield)
        owner = owner_of(fixturedef, request)
        earlier = len(self._turns.get(owner, ()))
        try:
            result = yield
        except (pytest.skip.Exception, pytest.xfail.Exception):
            raise  # In a replay it does the same.
        except BaseException:
            self._failed.add(owner)
            del self._turns.get(owner, [])[earlier:]
            raise
        self._failed.discard(owner)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if LIVE_ONLY not in report.keywords:
            self._reported.add(report.nodeid)
        if report.when == "setup":
            self._failed.discard(report.nodeid)
        if report.failed:
            self._failed.add(report.nodeid)

    def finish(self, session: pytest.Session) -> None:
        """Add the turns outside of tests; in the main process, write all that there are.

        Called when instances are deleted and workers are done, and before the report is handed out,
        as its readers may fail or block.
        """
        for owner in [*self._turns]:
            interrupted = self._test is not None and owner == self._test.nodeid
            failed = "its set-up failed" if owner in self._failed else None
            self._ends(owner, "it was interrupted" if interrupted else failed)
        if self._recordings is None:
            return  # The main process writes.
        # After a failure, what was not said may be what a fixture had no time for.
        whole = session.exitstatus == 0 and self._process.selection.is_whole(0)
        self._write_all(self._recordings, whole=whole)
        if self._unwritten:  # Before the exit code goes into the run's report.
            session.exitstatus = code(session.exitstatus, failed=True)

    def pytest_hydra_smoke_report(self, report: Report) -> None:
        """Write the router's manners, and fail the run for what could not be written."""
        assert self._recordings is not None  # This is the main process.
        with self._told(ROUTER):
            if not self._process.fake:  # It has no manners of its own.
                seen = manners.seen_in(report)
                self._lines += manners.update(self._recordings.folder / ROUTER, seen)
        for owner, why in self._unwritten.items():
            self._process.run_end.fail(
                "recording", owner, self._words(self._recordings.folder, owner, why)
            )
        whole = self._process.selection.is_whole(report.exit_code)
        self._lines += self._summary(self._recordings, whole=whole)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self._lines:
            terminalreporter.line(self._scrub(f"hydra-smoke: {line}"))

    def pytest_unconfigure(self) -> None:
        if self._recordings is not None:
            self._recordings.end()
            self.tape.discard()

    # What has become of turns

    @cached_property
    def _masking(self) -> Masking:
        # Once tests are collected, every conftest is loaded.
        edit = edit_of(self._pytest.pluginmanager)
        return Masking(self._process.config.token, self._process.reading, edit)

    def _ends(self, owner: str, why_not: str | None) -> None:
        """Add an owner's turns to the tape, or why they are not recorded; harmless without any."""
        begun = self._turns.pop(owner, None)
        if begun is None or not (begun or why_not):
            return
        name, what, why = self._scrub(owner), NOT_RECORDED, why_not
        if why is None:
            why = f"{NAME} left out all of its turns"
            try:
                masked = [self._masking.turn(name, *turn) for turn in begun]
                if turns := [turn for turn in masked if turn is not None]:
                    self.tape.add(of=name, turns=as_text("", turns, ""))
                    return
            except Exception as error:
                what, why = UNWRITTEN, _in_words(error)
        self.tape.add(of=name, what=what, why=self._clean(why))

    def _clean(self, why: str) -> str:
        return safe_line(self._scrub(why), 400)

    def _write_all(self, recordings: RecordingStore, *, whole: bool) -> None:
        parts: dict[str, list[Recorded]] = {}
        for line in self.tape.lines():
            owner = line["of"]
            if "turns" not in line:
                self._came[owner] = line["what"], line["why"]
                continue
            turns = turns_of(line["turns"].encode())
            if owner.startswith(KINDS):
                # Workers repeat a fixture; each may have set it up for other tests, too.
                parts[owner] = overlaid(parts.get(owner, ()), turns, whole=False)
            else:
                self._write(recordings, owner, turns)
        for owner, turns in parts.items():
            self._write(recordings, owner, turns, whole=whole)
        with self._told(ROUTER):
            manners.known_in(recordings.folder / ROUTER)  # Whether it can be read.
        for test in map(self._scrub, self._failed & self._reported):
            if recordings.path(test).exists():
                self._came.setdefault(test, (NOT_RECORDED, "it failed"))

    def _write(
        self,
        recordings: RecordingStore,
        owner: str,
        turns: list[Recorded],
        *,
        whole: bool | None = None,
    ) -> None:
        """Write a test's turns, or those of a fixture or a hook, in a `whole` run or another."""
        with self._told(owner):
            what, why, old = NEW, None, recordings.read(owner)
            if old is not None:
                known = turns_of(old)
                turns = turns if whole is None else overlaid(known, turns, whole=whole)
                turns, why = compared(known, turns, self._process.reading)
                what = SAME if why is None else CHANGED
            if what != SAME:
                day = datetime.now(UTC).date().isoformat()
                recordings.write(owner, as_text(owner, turns, day))
            self._came[owner] = what, self._clean(why or "")

    @contextmanager
    def _told(self, owner: str) -> Generator[None]:
        """Note an error of writing an owner's file: it fails the run, not a test."""
        try:
            yield
        except Exception as error:
            self._came[owner] = UNWRITTEN, self._clean(_in_words(error))

    @property
    def _unwritten(self) -> dict[str, str]:
        return {owner: why for owner, (what, why) in self._came.items() if what == UNWRITTEN}

    def _words(self, folder: Path, owner: str, why: str) -> str:
        named = owner != ROUTER and not owner.startswith(KINDS)
        test = (as_argument(self._pytest, owner),) if named else ()
        agent = self._process.config.agent_url
        switch = (LIVE,) if agent is None else (FAKE, flag("agent_url"), agent)
        command = ("pytest", *switch, flag("record"), str(folder), *test)
        return (
            f"RECORDING: the recording of {owner} could not be written\n{why}\n"
            f"  an earlier recording is unchanged; record it again: {shlex.join(command)}"
        )

    def _summary(self, recordings: RecordingStore, *, whole: bool) -> Iterator[str]:
        """Yield what has become of recordings, and in a `whole` run the unused ones."""
        counts = Counter(what for what, _ in self._came.values())
        counted = ", ".join(f"{counts[what]} {what}" for what in _WHATS if counts[what])
        yield f"recordings in {recordings.folder}: {counted or 'there was nothing to record'}"
        for kind in (NEW, CHANGED, NOT_RECORDED, UNWRITTEN):
            lines = [
                f"  {kind}: {owner}{why and ': '}{why}{_earlier(recordings, owner, what)}"
                for owner, (what, why) in sorted(self._came.items())
                if what == kind
            ]
            yield from lines[:_MOST]
            if len(lines) > _MOST:
                yield f"  {kind}: {len(lines) - _MOST} more"
        used = self._came.keys() | set(map(self._scrub, self._reported))
        unused = [
            str(path.relative_to(recordings.folder))
            for owner, path in sorted(recordings.owners.items())
            if owner not in used
        ]
        if whole and unused:
            yield f"  used by no test of this run: {len(unused)}: {first_few(unused)}"


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, NotWrittenError) else f"{type(error).__name__}: {error}"


def _earlier(recordings: RecordingStore, owner: str, what: str) -> str:
    # A user who removes words from recordings must know where they still are.
    path = recordings.path(owner)
    if what != NOT_RECORDED or not path.exists():
        return ""
    return f"; its earlier recording stays: {path.relative_to(recordings.folder).as_posix()}"
