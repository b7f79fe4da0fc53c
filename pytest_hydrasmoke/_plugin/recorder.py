"""Recording: a test's turns are written unless it failed, and reported at the end.

The process that runs a test writes its file. Turns of fixtures and hooks may come from several
workers, so they are left in the run's folder, and the main process writes them.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial

import pytest

from pytest_hydrasmoke._base.pytest_internals import worker_input, worker_output
from pytest_hydrasmoke._base.token import scrubbing
from pytest_hydrasmoke._core.chat import OpenTurn
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._options import LIVE, flag
from pytest_hydrasmoke._report.model import Report
from pytest_hydrasmoke._run.folder import RECORDED
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.manners import Answers, seen_in
from pytest_hydrasmoke._run.manners_file import (
    ROUTER,
    MannersError,
    answers_in,
    drift,
    joined,
)
from pytest_hydrasmoke._run.manners_file import (
    as_text as manners_text,
)
from pytest_hydrasmoke._run.recording import (
    KINDS,
    FormatError,
    Place,
    Recorded,
    VersionError,
    as_text,
    overlaid,
    said_on,
    turns_of,
)
from pytest_hydrasmoke._run.recording_words import compared
from pytest_hydrasmoke._run.recordings import Recordings, replace
from pytest_hydrasmoke._run.taped import Masking, NotWrittenError

from .bundled_checks import PACKAGE
from .conclusion import code
from .process import Process
from .record_hook import NAME, edit_of
from .recorder_notes import CHANGED, NEW, NOT_RECORDED, SAME, UNWRITTEN, Notes
from .replay import LIVE_ONLY, as_argument
from .stage import owner_of


@dataclass
class _Test:
    """The running test, as far as it is reported."""

    id: str
    live: bool
    """Whether a replay skips it."""
    failed: bool = False

    @classmethod
    def of(cls, item: pytest.Item) -> _Test:
        return cls(item.nodeid, item.get_closest_marker(LIVE_ONLY) is not None)


class Recorder:
    """Records turns in this process; in the main process, reports on all of them."""

    def __init__(
        self,
        pytest_config: pytest.Config,
        active: Process,
        ledger: Ledger,
        recordings: Recordings,
        fail: Callable[[str, str, str], None],
    ) -> None:
        self._pytest = pytest_config
        self._active = active
        self._ledger = ledger
        self._recordings = recordings
        self._fail = fail
        self._scrub = scrubbing(active.config.token)
        self._turns: dict[str, list[tuple[Recorded, OpenTurn]]] = {}
        self._failed: set[str] = set()
        """Fixtures that outlive a test, and whose last set-up failed."""
        self._test: _Test | None = None
        self._reported: set[str] = set()
        self._lines: list[str] = []
        self._is_worker = worker_input(pytest_config) is not None
        self._notes = Notes(ledger.folder / RECORDED, self._scrub, from_worker=self._is_worker)

    def on_turn(self, turn: OpenTurn) -> None:
        """Begin to record a turn, for the current owner, unless it is not to be recorded."""
        stage = self._active.stage
        owner = stage.owner
        if owner is None or owner.startswith(PACKAGE):
            return  # Only a real router can answer the bundled checks.
        if (test := self._test) is not None and test.live and test.id == owner:
            return
        record = turn.record
        spec = record.spec
        plain = {} if spec is None else spec.model_dump(exclude_none=True)
        begun = Recorded(stage.run, self._place(record, owner), plain, turn.message)
        turn.records()
        self._turns.setdefault(owner, []).append((begun, turn))

    def _place(self, record: InstanceRecord, owner: str) -> Place:
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
        self._test = _Test.of(item)
        result = yield
        test, self._test = self._test, None
        self._finish_test(test)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        # A plugin may run a test again: the last outcome counts.
        self._test = _Test.of(item)
        self._turns.pop(item.nodeid, None)

    @pytest.hookimpl(wrapper=True)
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
        test = self._test
        if test is not None and test.id == report.nodeid:
            test.failed |= report.failed

    def finish(self, session: pytest.Session) -> None:
        """Leave turns outside tests to the main process; there, write them.

        Called when instances are deleted and workers are done, and before the report is handed out,
        as its readers may fail or block.
        """
        for owner in self._turns:
            self._try(owner, self._leave)
        if self._is_worker:
            worker_output(self._pytest)[RECORDED] = self._notes.kept
        else:
            # After a failure, what was not said may be what a fixture had no time for.
            whole = session.exitstatus == 0 and self._active.selection.is_whole(0)
            self._write_left(whole=whole)
            self._try(ROUTER, self._earlier_manners)
        if self._notes.unwritten():  # Before the exit code goes into the run's report.
            session.exitstatus = code(session.exitstatus, failed=True, signal=None, broken=False)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Take what an xdist worker could not leave in the run's folder."""
        self._notes.kept += worker_output(node).get(RECORDED, [])

    def _write_left(self, *, whole: bool) -> None:
        left: dict[str, list[Recorded]] = {}
        for owner, text in self._notes.left():
            turns = left.setdefault(owner, [])
            # Workers repeat a fixture; each may have set it up for other tests, too.
            known = set(map(said_on, turns))
            turns += [turn for turn in turns_of(text.encode()) if said_on(turn) not in known]
        for owner, turns in left.items():
            merge = partial(overlaid, new=turns, whole=whole)
            self._try(owner, partial(self._write, turns=turns, merge=merge))

    def pytest_hydra_smoke_report(self, report: Report) -> None:
        """Write the router's manners, and fail the run for what could not be written."""
        self._try(ROUTER, partial(self._write_manners, seen=seen_in(report)))
        for owner, why in self._notes.unwritten().items():
            self._fail("recording", owner, self._words(owner, why))
        whole = self._active.selection.is_whole(report.exit_code)
        self._lines += self._notes.summary(self._recordings, self._reported, whole=whole)

    def _words(self, owner: str, why: str) -> str:
        named = owner != ROUTER and not owner.startswith(KINDS)
        test = (as_argument(self._pytest, owner),) if named else ()
        command = ("pytest", LIVE, flag("record"), str(self._recordings.folder), *test)
        return (
            f"RECORDING: the recording of {owner} could not be written\n{why}\n"
            f"  an earlier recording is unchanged; record it again: {shlex.join(command)}"
        )

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self._lines:
            terminalreporter.line(self._scrub(f"hydra-smoke: {line}"))

    def pytest_unconfigure(self) -> None:
        self._recordings.end()

    # Writing

    @cached_property
    def _masking(self) -> Masking:
        # Once tests are collected, every conftest is loaded.
        edit = edit_of(self._pytest.pluginmanager)
        return Masking(self._active.config.token, self._active.reading, edit)

    def _finish_test(self, test: _Test) -> None:
        # A test that skips half-way, or is expected to fail, does the same in a replay.
        if test.failed:
            if test.id in self._turns or (not test.live and self._has_earlier(test.id)):
                self._not_recorded(test.id, "it failed")
        elif test.id in self._turns:
            self._try(test.id, lambda owner: self._write(owner, self._recorded(owner)))
        self._turns.pop(test.id, None)

    def _not_recorded(self, owner: str, why: str) -> None:
        # A user who removes words from recordings must know where they still are.
        if self._has_earlier(owner):
            path = self._recordings.path(self._scrub(owner))
            earlier = path.relative_to(self._recordings.folder).as_posix()
            why = f"{why}; its earlier recording stays: {earlier}"
        self._notes.note(owner, NOT_RECORDED, why)

    def _has_earlier(self, owner: str) -> bool:
        return self._recordings.path(self._scrub(owner)).exists()

    def _leave(self, owner: str) -> None:
        if self._test is not None and owner == self._test.id:
            self._not_recorded(owner, "it was interrupted")
        elif owner in self._failed:
            self._not_recorded(owner, "its set-up failed")
        elif self._turns[owner]:
            self._notes.leave(owner, as_text("", self._recorded(owner), ""))

    def _recorded(self, owner: str) -> list[Recorded]:
        name = self._scrub(owner)
        turns = [self._masking.turn(name, begun, turn) for begun, turn in self._turns[owner]]
        return [turn for turn in turns if turn is not None]

    def _write(
        self,
        owner: str,
        turns: Sequence[Recorded],
        merge: Callable[..., list[Recorded]] | None = None,
    ) -> None:
        if not turns:
            self._not_recorded(owner, f"{NAME} left out all of its turns")
            return
        name, why = self._scrub(owner), None
        # Only two workers can have run the same test.
        held = self._ledger.hold("recordings", lambda: None) if self._is_worker else None
        try:
            old = self._recordings.read(name)
            what = NEW if old is None else CHANGED
            if old is not None:
                known = self._known(old)
                turns = turns if merge is None else merge(known)
                turns, why = compared(known, turns, self._active.reading)
                what = SAME if why is None else CHANGED
            if what != SAME:
                day = datetime.now(UTC).date().isoformat()
                self._recordings.write(name, as_text(name, turns, day))
        finally:
            if held is not None:
                held.release()
        self._notes.note(owner, what, why or "")

    def _known(self, old: bytes) -> list[Recorded]:
        try:
            return turns_of(old)
        except VersionError as error:
            raise NotWrittenError(f"{error}: update pytest-hydrasmoke, or move it away") from None
        except FormatError:
            return []  # It is damaged, and is replaced.

    def _write_manners(self, owner: str, seen: Answers) -> None:
        known = self._earlier_manners(owner)
        every = joined(known, seen)
        if every != known:
            replace(self._recordings.folder / owner, manners_text(every))
            self._lines += drift(known, seen) if known else ()

    def _earlier_manners(self, owner: str) -> Answers:
        """Return the router's known manners; raises `MannersError` where they can't be read."""
        path = self._recordings.folder / owner
        return answers_in(path.read_bytes()) if path.exists() else {}

    def _try(self, owner: str, work: Callable[[str], object]) -> None:
        """Call `work`, which writes; if that fails, fail the run, not a test."""
        try:
            work(owner)
        except (NotWrittenError, MannersError) as error:
            self._notes.note(owner, UNWRITTEN, str(error))
        except Exception as error:
            self._notes.note(owner, UNWRITTEN, f"{type(error).__name__}: {error}")
