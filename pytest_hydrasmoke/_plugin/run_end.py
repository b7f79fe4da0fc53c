"""How a run ends, in each of its processes: hooks ask for a level, and what it lacks is done.

| level   | asked for by                | once it is reached                                       |
|---------|-----------------------------|----------------------------------------------------------|
| DELETED | `pytest_keyboard_interrupt` | what is this process's to delete is gone, or a leak      |
| DECIDED | `pytest_runtestloop`        | all that makes the run red has failed it                 |
| SHOWN   | `pytest_sessionfinish`      | everybody has the report; a worker has handed on its own |
| OVER    | `pytest_unconfigure`        | the report is true for good, and nothing stayed unseen   |

Each level needs DELETED, whatever ends a run, so deletion comes first. It is done again where
something is left, and the report is written again where it is no longer true. It is shown once, or
by its file alone: pytest leaves out the session's end where it stops before the first test.

pytest makes the exit status of the tests that have failed by the end of `pytest_runtestloop`. What
comes later is in no argument of a hook, and a suite may end the process there (`os._exit`).

The processes that run tests (the main process itself, or xdist's workers) own instances and delete
them. Workers write journals, and the ledger lists what a dead one leaves.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Sequence
from enum import IntEnum
from typing import Protocol

import pytest

from pytest_hydrasmoke._base.pytest_internals import forget_failure, session_of
from pytest_hydrasmoke._report import terminal
from pytest_hydrasmoke._report.model import Report

from .context import OF_NO_TEST, RunContext
from .exit_code import code, code_after, code_of
from .report_views import Views
from .resources import Resources
from .run_report import Conclusion, RunTold, problems


class Level(IntEnum):
    """How far the end of a run must have come: see above."""

    DELETED = 1
    DECIDED = 2
    SHOWN = 3
    OVER = 4


class OtherProcesses(Protocol):
    """The workers of xdist, as the end of a run knows them."""

    silent: set[str]
    """Those that have not reported, or not yet, what they own."""
    refused: bool
    """Whether one of them has refused the tests that it collected."""

    def hand_on(self) -> None:
        """Send the main process what this worker has to tell."""


class RunEnd:
    """The end of the run, as far as it has come."""

    def __init__(
        self,
        context: RunContext,
        *,
        resources: Resources,
        told: RunTold,
        views: Views,
        conclusion: Conclusion,
        workers: OtherProcesses,
        crashed: list[pytest.TestReport],
        saw_end: Callable[[BaseException], None],
        say: Callable[[Sequence[str]], None],
        finish_recordings: Callable[[pytest.Session], None],
        release: Callable[[], None],
    ) -> None:
        self._context = context
        self._resources = resources
        self._told = told
        self._views = views
        self._conclusion = conclusion
        self._workers = workers
        self._crashed = crashed
        """The reports of tests in which a worker crashed, until they are told."""
        self._saw_end = saw_end
        """Records what has broken off the session."""
        self._say = say
        """Writes lines on the terminal."""
        self._finish_recordings = finish_recordings
        self._release = release
        """Lets other tests use what this process holds."""
        self._pytest = context.pytestconfig
        self._interrupts = resources.interrupts
        self._broken = False
        """Whether a hook of the session's end raised: pytest then ignores the session's code."""
        self._decided = False
        self._failed: set[tuple[str, str]] = set()
        """The kinds and names of what has failed the run beside its tests."""

    def reach(self, level: Level) -> None:
        """Come as far as a level: what it needs is done, where it is not yet done."""
        self._delete(level)
        if level is Level.OVER:
            self._report_late()
        elif level > Level.DELETED:
            self._decide()
            if level is Level.SHOWN:
                self._show()

    def _delete(self, level: Level) -> None:
        """Delete what is left and this process's to delete; a further signal waits for it."""
        is_owner, run = self._context.is_owner, self._resources.run
        self._interrupts.begin_clean_up()
        try:
            if self._context.worker is None:
                self._adopt()
            if self._interrupts.received is not None:
                self._say(terminal.deleting(run.pending))
            run.close()
            if level > Level.DELETED:
                if is_owner:
                    # Nothing may begin after the last look, nor between it and what it looks at.
                    run.end()
                    run.close()
                    run.look_back()
                for instance in run.instances:
                    instance.target.end_turn()
        finally:
            if level is Level.OVER:
                run.end()
            self._interrupts.end_clean_up()
        if level is Level.OVER and is_owner:
            self._resources.ledger.mark_ended()

    def _adopt(self) -> None:
        """Own what workers have left: shared instances, and those of crashed workers."""
        ledger, run, told = self._resources.ledger, self._resources.run, self._told
        try:
            ledger.read()
        except OSError as error:
            sweep = self._context.config.commands.sweep(run.config.run_id)
            self._views.remark(
                f"the ledger can't be read ({error}): {sweep} asks the router for what is left"
            )
        if self._interrupts.received is not None or self._workers.silent:
            # Workers may outlive this by seconds: they must not begin anything more.
            ledger.stop()
        run.adopt(told.story.instances)
        while self._crashed:
            told.crash(self._crashed.pop())
        instances = told.story.instances
        for instance in run.instances:
            known = instances.get(instance.reference or "")
            if known is not None and known.failed:
                instance.blame()

    @property
    def session(self) -> pytest.Session:
        """The session, which is at its end."""
        session = session_of(self._pytest)
        assert session is not None
        return session

    def _decide(self) -> None:
        """Fail the run for all that makes it red, each once."""
        if not self._decided:
            self._decided = True
            self._finish_recordings(self.session)
        if self._context.worker is None:
            # Readers of a report that fails the run may fail, or block: its file is written first.
            report = self._write()
            self._interrupts.catch_up()
            for kind, name, words in problems(report):
                if (kind, name) not in self._failed:
                    self._failed.add((kind, name))
                    self.fail(kind, name, words)

    def _show(self) -> None:
        """Hand on what this process has to tell: the report, or a worker's journal."""
        if self._context.worker is not None:
            self._workers.hand_on()
        else:
            assert self._views.report is not None
            self._views.hand_out(self._views.report)

    def _report_late(self) -> None:
        """Write the report again where it is not true, and say what was not shown.

        pytest may have left out the session's end, and other hooks may raise, or change the exit
        code, after the report is written.
        """
        if self._context.worker is not None or session_of(self._pytest) is None:
            return
        views = self._views
        with self._interrupts.hold(), views.attempt("report.json may be wrong"):
            self._write()
        self._interrupts.catch_up()
        views.show_unseen()

    def _write(self) -> Report:
        """Write the report where there is none yet, or where it is no longer true."""
        session, number, report = self.session, self._interrupts.received, self._views.report
        before = pytest.ExitCode.USAGE_ERROR if self._workers.refused else session.exitstatus
        session.exitstatus = code(before, signal=number, broken=self._broken)
        if report is None or not self._is_true(report, session.exitstatus):
            report, remarks = self._conclusion.report(session, number)
            session.exitstatus = report.exit_code
            self._views.remark(*remarks)
            self._views.write(report)
        return report

    def _is_true(self, report: Report, exit_code: int) -> bool:
        now, then = (
            [(it.idempotency_key, it.outcome, it.leak, len(it.turns)) for it in instances]
            for instances in (self._told.instances, report.instances)
        )
        return report.exit_code == exit_code and now == then

    def fail(self, kind: str, name: str, words: str) -> None:
        """Fail the run at its end, for something outside any test."""
        # A separate report adds to the tests' outcomes and hides none of them. Some plugins,
        # pytest-html among them, accept a test once its teardown is reported.
        session = self.session
        session.exitstatus = code(session.exitstatus, failed=True)
        session.testscollected += 1  # The terminal shows progress as a share of these.
        nodeid = f"{OF_NO_TEST}{kind}::{name}"
        location = ("hydra-smoke", None, f"{kind} of {name}")
        failed = pytest.TestReport(nodeid, location, {}, "failed", words, "call")
        over = pytest.TestReport(nodeid, location, {}, "passed", None, "teardown")
        for report in (failed, over):
            with self._views.attempt(f"the {kind} of {name} was not shown everywhere"):
                self._pytest.hook.pytest_runtest_logreport(report=report)
        forget_failure(
            self._pytest, pytest.TestReport(nodeid, location, {}, "passed", None, "call")
        )

    def _signal_behind(self, error: BaseException) -> int | None:
        """Return the signal that has interrupted the run's end; any other error has broken it."""
        number = self._interrupts.received if isinstance(error, KeyboardInterrupt) else None
        leaves = isinstance(error, SystemExit) and not error.code
        self._broken |= number is None and not leaves
        return number

    def _stays_red(self, error: BaseException) -> None:
        """Let no hook's `sys.exit(0)` make a red run green: pytest does not see its code."""
        session = session_of(self._pytest)
        if session is not None and isinstance(error, SystemExit):
            error.code = error.code or int(session.exitstatus)

    # Hooks: outermost, since some plugins write their report, or output, first thing at the end

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_keyboard_interrupt(self) -> Generator[None, object, object]:
        # Before any output: capturing ends here, which writes what a test has printed.
        if not self._resources.forked:
            self.reach(Level.DELETED)
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        try:
            result = yield
        except BaseException as error:
            # A child that a test has forked may leave the test's frames.
            if not self._resources.forked:
                self._saw_end(error)
                session.exitstatus = code_of(error)
                self.reach(Level.DECIDED)
                if isinstance(error, pytest.exit.Exception) and error.returncode is not None:
                    error.returncode = error.returncode or int(session.exitstatus)
            raise
        if not self._resources.forked:
            session.exitstatus = code_after(session)
            self.reach(Level.DECIDED)
            if session.exitstatus == pytest.ExitCode.TESTS_FAILED and not session.testsfailed:
                session.testsfailed = 1  # From it pytest makes the exit status.
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        if self._resources.forked:
            return (yield)
        try:
            self.reach(Level.SHOWN)
            return (yield)
        except pytest.exit.Exception:
            raise  # pytest makes its code the session's.
        except BaseException as error:
            number = self._signal_behind(error)
            if number is None:
                self._stays_red(error)
                raise
            # Here pytest expects this exception, and shows the traceback of the other.
            raise pytest.exit.Exception(_late(number), 128 + number) from None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_unconfigure(self) -> Generator[None, object, object]:
        if self._resources.forked:
            return (yield)
        try:
            self.reach(Level.OVER)
            return (yield)
        except BaseException as error:
            number = self._signal_behind(error)
            self._report_late()
            if number is None:
                self._stays_red(error)
                raise
            # pytest expects no exception here, and the exit code is that of the signal.
            self._views.say_late(f"hydra-smoke: {_late(number)}")
            return None
        finally:
            self._release()
            self._resources.end()


def _late(number: int) -> str:
    return f"interrupted by {signal.Signals(number).name} at the run's end"
