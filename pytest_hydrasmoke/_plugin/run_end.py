"""How a run ends, in each of its processes: a level that hooks reach, and not a path.

A hook says only how far the end must have come. What was done before is done again where something
is new: deletion comes first, whatever ends a run, and its report stays true until the very end.

The processes that run tests (the main process itself, or xdist's workers) own instances and delete
them. Workers write journals, and the ledger lists what a dead one leaves.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._base.pytest_internals import session_of, worker_output
from pytest_hydrasmoke._report import terminal
from pytest_hydrasmoke._report.model import Report

from .report_views import Views
from .run_report import RunTold, code, conclude, problems
from .session_outcome import OF_NO_TEST, SessionOutcome
from .workers import KEY, Workers

if TYPE_CHECKING:
    from pytest_hydrasmoke._run.session import SmokeSession

    from .process import Process

__tracebackhide__ = hide_own_frames


class Goal(IntEnum):
    """How far the end of a run must have come."""

    DELETED = 1
    """What is this process's to delete is deleted, or known as a leak."""
    SHOWN = 2
    """The run's report is written, and everybody has it."""
    OVER = 3
    """The report is true for good, and what nobody saw is on standard error."""


class RunEnd:
    """The end of the run, as far as it has come."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._pytest = process.pytestconfig
        self._interrupts = process.interrupts
        self.workers = Workers(process)
        self.outcome = SessionOutcome(process)
        self.told = RunTold(process, self.workers.sent)
        self.views = Views(process)
        self._report: Report | None = None
        self._broken = False
        """Whether a hook of the session's end raised: pytest then ignores the session's code."""

    def reach(self, goal: Goal) -> None:
        """Come as far as the goal."""
        self._delete(goal)
        if goal is Goal.SHOWN:
            self._report_and_show()
        elif goal is Goal.OVER:
            if self._process.is_owner:
                self._process.ledger.mark_ended()
            self._report_late()

    def _delete(self, goal: Goal) -> None:
        """Delete what is left and this process's to delete; a further signal waits for it."""
        process, run = self._process, self._process.run
        self._interrupts.begin_clean_up()
        try:
            if process.worker is None:
                if self._interrupts.received is not None or self.workers.silent:
                    # Workers may outlive this by seconds: they must not begin anything more.
                    process.ledger.stop()
                self._adopt(run)
            if self._interrupts.received is not None:
                process.progress.say(terminal.deleting(run.pending))
            run.close()
            if goal > Goal.DELETED:
                if process.is_owner:
                    # Nothing may begin after the last look, nor between it and what it looks at.
                    run.end()
                    run.close()
                    run.look_back()
                for record in run.records:
                    record.end_turn()
        finally:
            if goal is Goal.OVER:
                run.end()
            self._interrupts.end_clean_up()

    def _adopt(self, run: SmokeSession) -> None:
        """Own what workers have left: shared instances, and those of crashed workers."""
        run.adopt(self.told.stories.instances)
        crashed = self.outcome.cases.crashed
        while crashed:
            self.told.crash(crashed.pop())
        stories = self.told.stories.instances
        for record in run.records:
            known = stories.get(record.reference or "")
            if known is not None and known.failed:
                record.blame()

    def _write(self, session: pytest.Session) -> Report:
        """Write the report where there is none yet, or where it is no longer true."""
        before = pytest.ExitCode.USAGE_ERROR if self.workers.refused else session.exitstatus
        number = self._interrupts.received
        session.exitstatus = code(before, failed=False, signal=number, broken=self._broken)
        if self._report is None or not self._is_true(self._report, session.exitstatus):
            unheard = self.workers.unheard()
            self._report, remarks = conclude(
                self._process, self.told, self.outcome, session, unheard
            )
            session.exitstatus = self._report.exit_code
            self.views.remark(*remarks)
            self.views.write(self._report)
        return self._report

    def _is_true(self, report: Report, exit_code: int) -> bool:
        now, then = (
            [(it.idempotency_key, it.outcome, it.leak, len(it.turns)) for it in instances]
            for instances in (self.told.instances, report.instances)
        )
        return report.exit_code == exit_code and now == then

    def _report_and_show(self) -> None:
        """Report, and hand that out after its files are written: readers may fail, or block."""
        process, session = self._process, session_of(self._pytest)
        assert session is not None  # It is at its end.
        if process.stage.recorder is not None:
            process.stage.recorder.finish(session)
        if process.worker is not None:
            worker_output(self._pytest)[KEY] = process.journal.text
            return
        report = self._write(session)
        self._interrupts.catch_up()
        for kind, name, words in problems(report):
            self.fail(kind, name, words)
        for test, calls in self.outcome.unawaited.items():
            words = f"{', '.join(calls)}: called without await, so nothing was done"
            self.fail("missing await", test, words)
        self.views.hand_out(report)

    def _report_late(self) -> None:
        """Write the report again where it is not true, and say what was not shown.

        pytest skips the session's end if it stops before its first test, and other hooks may raise,
        or change the exit code, after the report is written.
        """
        session = session_of(self._pytest)
        if self._process.worker is not None or session is None:
            return
        with self._interrupts.hold():
            self.views.attempt("report.json may be wrong", partial(self._write, session))
        self._interrupts.catch_up()
        self.views.show_unseen(self.told.instances)

    def reason(self) -> str | None:
        """Return why the run is red, if it is so, beside what its tests tell."""
        report = self._report
        if report is None or report.exit_code == pytest.ExitCode.OK:
            return None
        words = report.ended or self.views.first_remark or f"exit code {report.exit_code}"
        return self._process.scrub(words)

    def fail(self, kind: str, name: str, words: str) -> None:
        """Fail the run at its end, for something outside any test."""
        # A separate report adds to the tests' outcomes and hides none of them. Some plugins,
        # pytest-html among them, accept a test once its teardown is reported.
        session = session_of(self._pytest)
        assert session is not None  # It is at its end.
        session.exitstatus = code(session.exitstatus, failed=True, signal=None, broken=False)
        session.testscollected += 1  # The terminal shows progress as a share of these.
        nodeid = f"{OF_NO_TEST}{kind}::{name}"
        location = ("hydra-smoke", None, f"{kind} of {name}")
        failed = pytest.TestReport(nodeid, location, {}, "failed", words, "call")
        over = pytest.TestReport(nodeid, location, {}, "passed", None, "teardown")
        for report in (failed, over):
            log = partial(self._pytest.hook.pytest_runtest_logreport, report=report)
            self.views.attempt(f"the {kind} of {name} was not shown everywhere", log)

    # Hooks

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_keyboard_interrupt(self) -> Generator[None, object, object]:
        # Before any output: capturing ends here, which writes what a test has printed.
        if not self._process.forked:
            self.reach(Goal.DELETED)
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        # Outermost: some plugins write their report first thing at the end.
        if self._process.forked:
            return (yield)
        try:
            self.reach(Goal.SHOWN)
            return (yield)
        except pytest.exit.Exception:
            raise  # pytest makes its code the session's.
        except KeyboardInterrupt:
            number = self._interrupts.received
            if number is not None:
                # Here pytest expects this exception, and shows the traceback of the other.
                raise pytest.exit.Exception(_late(number), 128 + number) from None
            self._broken = True
            raise
        except BaseException:
            self._broken = True
            raise

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_unconfigure(self) -> Generator[None, object, object]:
        # Outermost: some plugins write output here, which fails if it is closed.
        if self._process.forked:
            return (yield)
        try:
            self.reach(Goal.OVER)
            return (yield)
        except BaseException as error:
            number = self._interrupts.received if isinstance(error, KeyboardInterrupt) else None
            self._broken |= number is None
            self._report_late()
            if number is None:
                raise
            # pytest expects no exception here, and the exit code is that of the signal.
            self.views.say_late(f"hydra-smoke: {_late(number)}")
            return None
        finally:
            self._process.end()


def _late(number: int) -> str:
    return f"interrupted by {signal.Signals(number).name} at the run's end"
