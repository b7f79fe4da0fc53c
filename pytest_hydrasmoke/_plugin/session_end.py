"""How a run begins and ends: its header, its signals, its deletions and its verdict.

The main process reads the settings, serves the fake and gives the verdict; whoever runs tests
(the main process itself, or xdist's workers) owns instances and deletes them. Workers report to
the main process in plain types, and what a dead one leaves is in the ledger.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._base.pytest_internals import session_of, worker_output
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.token import scrubbing
from pytest_hydrasmoke._report import terminal
from pytest_hydrasmoke._report.build import all_manners, breaches, merged, untold_tokens, with_tests
from pytest_hydrasmoke._report.model import BreachReport, InstanceReport, ProcessReport, Report
from pytest_hydrasmoke._report.pipeline import pipeline_of
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.session import SmokeSession

from .cases import Cases
from .fixtures import FAILED, Active
from .replay import header_line, notes, replayed
from .report_cleaner import cleaned
from .stalled_output import StalledOutput
from .views import Views
from .workers import KEY, Workers

if TYPE_CHECKING:
    from pytest_hydrasmoke._settings.sources import Loaded
    from pytest_hydrasmoke.fake import FakeRouter

__tracebackhide__ = hide_own_frames


def exit_code(before: int, *, failed: bool, signal: int | None) -> int:
    """Return a run's exit code: what failed at its end adds to what tests said, and hides none."""
    if signal is not None:
        return 128 + signal
    clean = before in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    return pytest.ExitCode.TESTS_FAILED if failed and clean else before


def _fates(told: ProcessReport) -> list[object]:
    return [(one.idempotency_key, one.outcome, one.leak) for one in told.instances]


class SessionEnd:
    """The run's two ends, in each of its processes."""

    def __init__(
        self,
        pytest_config: pytest.Config,
        active: Active,
        ledger: Ledger,
        interrupts: Interrupts,
        stalled: StalledOutput,
        say: Callable[[Sequence[str]], None],
        *,
        loaded: Loaded | None,
        fake: FakeRouter | None,
        worker: bool,
    ) -> None:
        self._pytest = pytest_config
        self._active = active
        self._ledger = ledger
        self._interrupts = interrupts
        self._stalled = stalled
        self._say = say
        self._loaded = loaded
        self._fake = fake
        self._worker = worker
        self._scrub = scrubbing(active.config.token)
        self._pid = os.getpid()
        self._began = datetime.now(UTC)
        self._executed = False
        self._failed: set[str] = set()
        self._cases = Cases()
        self._report: Report | None = None
        self.on_closed: Callable[[pytest.Session], object] = lambda session: None
        """Called once instances are deleted, before the run's report is made."""
        self._recordings = None if fake is None else fake.scenario.recordings
        self.workers = Workers(pytest_config, active, fake)
        self.views = Views(pytest_config, active.config, self._scrub, loaded)
        self._written: list[object] | None = None
        """What became of this process's instances, as the written report has it."""
        self._broken_off = False
        """Whether a hook of the end has raised: pytest ends by that, whatever its code is."""

    @property
    def _is_run(self) -> bool:
        """Whether this process is the one that began; a child that a test has forked is not."""
        return os.getpid() == self._pid

    def pytest_report_header(self) -> list[str]:
        if self._loaded is None:
            return []
        config, fake = self._active.config, self._fake is not None
        warnings = [*self._loaded.warnings, *terminal.timeout_warning(self._pytest)]
        lines = terminal.header(config, self._loaded.sources, fake=fake)
        if self._recordings is not None:
            lines.insert(1, header_line(self._recordings))
        lines += [f"hydra-smoke: WARNING: {warning}" for warning in warnings]
        return [self._scrub(line) for line in lines]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A skip is no execution; an expected failure is one, although it is reported as skipped.
        ran = report.when == "call" and (not report.skipped or hasattr(report, "wasxfail"))
        self._executed |= ran and "hydra_smoke" in report.keywords
        self._failed.update(getattr(report, FAILED, ()))
        self._cases.saw(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_keyboard_interrupt(self) -> Generator[None, object, object]:
        # Before anything is written: what a test has printed is, as capturing ends here.
        if self._is_run:
            self._close()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        # Around all others: some plugins write their report as the first thing at the end.
        if not self._is_run:
            return (yield)
        self._broken_off = True  # Unless it is seen to end.
        told = self._close()
        self.on_closed(session)
        if self._worker:
            # Cleaned here too: under `--debug`, xdist prints what it sends.
            worker_output(self._pytest)[KEY] = cleaned(told, self._scrub).model_dump(mode="json")
        else:
            self._conclude(session, told)
        # Where it would be waited for, others come first: workers take seconds to end.
        stalled = self._stalled.is_stalled
        if not stalled:
            self._tell_others()
        try:
            result = yield
        except pytest.exit.Exception:
            self._broken_off = False  # pytest makes its code the session's.
            raise
        finally:
            if stalled:
                self._tell_others()
        self._broken_off = False
        return result

    def _conclude(self, session: pytest.Session, told: ProcessReport) -> None:
        self._report = self._concluded(session, told)
        self.views.write(self._report)
        self._written = _fates(told)

    def _conclude_late(self) -> None:
        """Write the report where it is not written yet, or is not true any more.

        pytest leaves out the session's end where it breaks off before its first test, and the hooks
        of others may raise, or change the exit code, after the report is written.
        """
        session = session_of(self._pytest)
        if self._worker or session is None:
            return
        told = self._active.session.process_report()
        if self._broken_off:
            session.exitstatus = exit_code(session.exitstatus, failed=True, signal=None)
        code = None if self._report is None else self._report.exit_code
        if self._written == _fates(told) and code == session.exitstatus:
            return
        known = list(self.views.remarks)
        with self._interrupts.hold():
            self.views.attempt("report.json may be untrue", partial(self._conclude, session, told))
        self._say_late(
            f"hydra-smoke: {remark}" for remark in self.views.remarks if remark not in known
        )

    def _tell_others(self) -> None:
        """Report the run, whose files are written by now: whoever reads may fail, or block."""
        self._interrupts.catch_up()
        if self._report is not None:
            self._give_verdict(self._report)
            self.views.hand_out(self._report)

    def _concluded(self, session: pytest.Session, told: ProcessReport) -> Report:
        """Decide what became of the run, its exit code included."""
        everybody = [*self.workers.reports.values(), told]
        told_of = merged(instance for one in everybody for instance in one.instances)
        instances = with_tests(told_of, self._cases.reports)
        broken = breaches(instances, self._active.config.budgets)
        failed = bool(broken) or any(
            instance.outcome == "leaked" or instance.conflict for instance in instances
        )
        if session.exitstatus == 0 and not failed and not self._executed:
            self.views.remarks.append("no smoke test was executed: the run proves nothing")
            failed = True
        untold = untold_tokens(instances, self._active.config.budgets)
        self.views.remarks += [] if untold is None else [untold]
        signal = self._interrupts.received
        session.exitstatus = exit_code(session.exitstatus, failed=failed, signal=signal)
        self.views.remarks += self.workers.elsewhere(self._ledger)
        if self._fake is not None:
            whole = self._active.selection.is_whole(session.exitstatus)
            self.views.remarks += notes(self._fake, self._cases.reports, whole=whole)
        return self._made(session, instances, broken, everybody)

    def _give_verdict(self, report: Report) -> None:
        for instance in report.instances:
            name = instance.id or instance.idempotency_key or "?"
            if instance.outcome == "leaked":
                self.fail("leak", name, terminal.leak(instance))
            if instance.conflict is not None:
                self.fail("run-id", name, terminal.conflict(instance))
        for breach in report.breaches:
            self.fail("budget", breach.phase, terminal.breach(breach))

    def fail(self, kind: str, name: str, words: str) -> None:
        """Fail the run for what is no test's, at its end."""
        # A report of its own: it adds to whatever the tests said, and hides none of it. Some
        # plugins, pytest-html among them, take a test in once its teardown is reported.
        session = session_of(self._pytest)
        assert session is not None  # It is at its end.
        session.exitstatus = exit_code(session.exitstatus, failed=True, signal=None)
        session.testscollected += 1  # Of which the terminal shows how many per cent are over.
        nodeid = f"hydra-smoke::{kind}::{name}"
        location = ("hydra-smoke", None, f"{kind} of {name}")
        failed = pytest.TestReport(nodeid, location, {}, "failed", words, "call")
        over = pytest.TestReport(nodeid, location, {}, "passed", None, "teardown")
        for report in (failed, over):
            tell = partial(self._pytest.hook.pytest_runtest_logreport, report=report)
            self.views.attempt(f"the {kind} of {name} was not shown everywhere", tell)

    def _made(
        self,
        session: pytest.Session,
        instances: Sequence[InstanceReport],
        broken: Sequence[BreachReport],
        everybody: Sequence[ProcessReport],
    ) -> Report:
        config = self._active.config
        made = Report(
            run_id=config.run_id,
            fake=self._fake is not None,
            replaying=None if self._recordings is None else replayed(self._recordings),
            url=config.url or "",
            began=self._began,
            seconds=(datetime.now(UTC) - self._began).total_seconds(),
            pipeline=pipeline_of(os.environ, config.group, config.run_id),
            exit_code=int(session.exitstatus),
            instances=tuple(instances),
            tests=tuple(self._cases.reports),
            budgets=config.budgets,
            breaches=tuple(broken),
            manners=all_manners([process.manners for process in everybody]),
        )
        # Whatever is written of the run is drawn from it.
        report: Report = cleaned(made, self._scrub)
        return report

    def _close(self) -> ProcessReport:
        session = self._active.session
        self._interrupts.begin_clean_up()
        try:
            if not self._worker:
                if self._interrupts.received is not None or self.workers.silent:
                    # Workers may outlive this by seconds: they are to begin nothing more.
                    self._ledger.stop()
                self._adopt(session)
            if self._interrupts.received is not None:
                self._say(terminal.deleting(session.pending))
            session.close()
        finally:
            self._interrupts.end_clean_up()
        return session.process_report()

    def _adopt(self, session: SmokeSession) -> None:
        """Own what workers have left: shared instances, and those of workers that are gone."""
        session.adopt()
        for record in session.records:
            # What a worker that crashed knew of its failures is lost: it was one itself.
            record.failed |= self.workers.crashed or record.key in self._failed

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_unconfigure(self) -> Generator[None, object, object]:
        # Around all others: some write, which fails where nobody reads.
        if not self._is_run:
            return (yield)
        try:
            try:
                late = self._close().instances
            finally:
                self._active.session.end()
                self._active.release()
                self._ledger.end()
            self._conclude_late()
            self._interrupts.catch_up()
            self._tell_late(late)
            return (yield)
        except BaseException:
            self._broken_off = True
            self._conclude_late()
            raise
        finally:
            self._stalled.end()
            self._interrupts.restore()
            if self._fake is not None:
                self._fake.__exit__(None, None, None)

    def _tell_late(self, reports: Sequence[InstanceReport]) -> None:
        """Report the leaks that no summary has shown.

        An interrupt of the first clean-up or a worker that outlived it may have left them, and
        pytest gives no summary where `pytest.exit` came with a code of its own.
        """
        summed_up = self._report.instances if self._report else ()
        told = {instance.idempotency_key for instance in summed_up if self.views.told}
        leaks = [one for one in (*summed_up, *reports) if one.outcome == "leaked"]
        for key, leak in {leak.idempotency_key: leak for leak in leaks}.items():
            if key not in told and not self._worker:
                self._say_late([terminal.leak(leak)])

    def _say_late(self, lines: Iterable[str]) -> None:
        for line in lines:
            with suppress(Exception):  # There may be nobody who reads it.
                sys.stderr.write(self._scrub(line) + "\n")
