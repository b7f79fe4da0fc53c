"""How a run begins and ends: its header, its signals, its deletions and its exit code.

The main process reads the settings, serves the fake and sets the exit code; the processes that run
tests (the main process itself, or xdist's workers) own instances and delete them. Workers report to
the main process in plain types, and the ledger lists what a dead one leaves.
"""

from __future__ import annotations

import os
import signal
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
from pytest_hydrasmoke._journal.stories import Stories
from pytest_hydrasmoke._report import terminal
from pytest_hydrasmoke._report.budgets import breaches, untold_tokens
from pytest_hydrasmoke._report.build import manners_of, with_commands, with_tests
from pytest_hydrasmoke._report.model import NOT_ENDED, CaseReport, InstanceReport, Report
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.session import SmokeSession

from .cases import Cases
from .ending import Ending
from .fixtures import Active
from .replay import header_line, notes, unset_spec
from .report_cleaner import cleaned
from .told import Told
from .unawaited import Unawaited
from .verdict import OF_NO_TEST, Verdict, exit_code, unproved
from .views import Views
from .workers import KEY, Workers

if TYPE_CHECKING:
    from pytest_hydrasmoke._settings.sources import Loaded
    from pytest_hydrasmoke.fake import FakeRouter

__tracebackhide__ = hide_own_frames


def _late_interrupt(number: int) -> str:
    return f"interrupted by {signal.Signals(number).name} at the run's end"


def _outcomes(instances: Iterable[InstanceReport]) -> list[object]:
    """Return what makes a report wrong that tells otherwise."""
    return [(one.idempotency_key, one.outcome, one.leak, len(one.turns)) for one in instances]


class SessionEnd:
    """Start and end of the run, in each of its processes."""

    def __init__(
        self,
        pytest_config: pytest.Config,
        active: Active,
        ledger: Ledger,
        interrupts: Interrupts,
        say: Callable[[Sequence[str]], None],
        *,
        loaded: Loaded | None,
        begun: Report | None,
        fake: FakeRouter | None,
        worker: bool,
        alone: bool,
    ) -> None:
        self._pytest = pytest_config
        self._active = active
        self._ledger = ledger
        self._interrupts = interrupts
        self._say = say
        self._loaded = loaded
        self._begun = begun
        self._fake = fake
        self._worker = worker
        self._is_owner = alone or not worker
        """Whether it looks after all instances of its run: not a worker that shares it."""
        self._scrub = scrubbing(active.config.token)
        self._pid = os.getpid()
        self._journal = active.journal
        self._cases = Cases()
        self.ending = Ending(self._journal, self._scrub, replies=active.config.report_replies)
        self._report: Report | None = None
        self.on_closed: Callable[[pytest.Session], object] = lambda session: None
        """Called once instances are deleted, before the run's report is made."""
        self._recordings = None if fake is None else fake.scenario.recordings
        table = None if loaded is None else loaded.file
        self.workers = Workers(pytest_config, active, fake, table)
        self._told = Told(ledger, self._journal, self.workers)
        self.views = Views(pytest_config, active.config, self._scrub, loaded)
        self.verdict = Verdict(pytest_config, self.views.attempt)
        self.unawaited = Unawaited()
        # What a run has at the bundled fake ends with it: there is nothing to sweep.
        self._commands = None if ledger.fake else active.config.commands
        self._broken_off = False
        """Whether a hook of the session's end raised: pytest then ignores the session's code."""

    @property
    def _is_run(self) -> bool:
        """Whether this is the process that began the run, and not a child forked by a test."""
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
        if not report.nodeid.startswith(OF_NO_TEST):
            self._cases.saw(report)

    def is_smoke_test(self, test: str) -> bool:
        """Return whether a test has the marker, or has used an instance."""
        return test in self._told.stories.smoke_tests

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_keyboard_interrupt(self) -> Generator[None, object, object]:
        # Before any output: capturing ends here, which writes what a test has printed.
        if self._is_run:
            self._close()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        # Outermost: some plugins write their report first thing at the end.
        if not self._is_run:
            return (yield)
        self._broken_off = True  # Until it is seen to end.
        self._close(at_the_end=True)
        self.on_closed(session)
        if self._worker:
            worker_output(self._pytest)[KEY] = self._journal.text
        else:
            self._conclude(session)
        try:
            self._hand_out()
            result = yield
        except pytest.exit.Exception:
            self._broken_off = False  # pytest makes this code the session's.
            raise
        except KeyboardInterrupt:
            number = self._interrupts.received
            if number is None:
                raise
            # Here pytest expects this exception, and shows the traceback of the other.
            self._broken_off = False
            raise pytest.exit.Exception(_late_interrupt(number), 128 + number) from None
        self._broken_off = False
        return result

    def _conclude(self, session: pytest.Session) -> None:
        self._report = self._concluded(session)
        self.views.write(self._report)

    def _conclude_late(self) -> None:
        """Write the report where it is not written yet, or is no longer true.

        pytest skips the session's end if it stops before its first test, and other hooks may raise,
        or change the exit code, after the report is written.
        """
        session = session_of(self._pytest)
        if self._worker or session is None:
            return
        session.exitstatus = exit_code(
            session.exitstatus, failed=self._broken_off, signal=self._interrupts.received
        )
        known = [] if self._report is None else _outcomes(self._report.instances)
        code = None if self._report is None else self._report.exit_code
        if code == session.exitstatus and known == _outcomes(self._told.instances):
            return
        remarks = list(self.views.remarks)
        with self._interrupts.hold():
            self.views.attempt("report.json may be wrong", partial(self._conclude, session))
        self._say_late(
            f"hydra-smoke: {remark}" for remark in self.views.remarks if remark not in remarks
        )

    def _hand_out(self) -> None:
        """Hand out the run's report after its files are written: its readers may fail, or block."""
        self._interrupts.catch_up()
        if self._report is not None:
            self.verdict.give(self._report)
            self.unawaited.tell(self.verdict.fail)
            self.views.hand_out(self._report)

    def _concluded(self, session: pytest.Session) -> Report:
        """Build the run's report, its exit code included."""
        stories = self._told.stories
        tests = self._cases.reports(stories)
        instances = with_commands(self._told.instances, self._commands)
        instances = with_tests(instances, tests)
        draft = self._draft(session, instances, tests, stories)
        lost = any(it.outcome == "leaked" or it.conflict for it in instances)
        failed = lost or bool(draft.breaches)
        if session.exitstatus == 0 and not failed:
            why = unproved(draft, executed=self._cases.executed(stories))
            self.views.remarks += [] if why is None else [why]
            failed = why is not None
        unheard = self.workers.elsewhere(self._ledger)
        self.views.remarks += unheard
        # Nobody knows whether they have left anything.
        failed = failed or bool(unheard) or self.unawaited.any
        untold = untold_tokens(instances, self._active.config.budgets)
        self.views.remarks += [] if untold is None else [untold]
        number = self._interrupts.received
        session.exitstatus = exit_code(session.exitstatus, failed=failed, signal=number)
        replaying = self._active.replaying
        if replaying is not None and self._loaded is not None:
            whole = self._active.selection.is_whole(session.exitstatus)
            unset = unset_spec(self._active.config, self._loaded.sources)
            self.views.remarks += notes(replaying.course, tests, unset=unset, whole=whole)
        facts: dict[str, object] = {"exit_code": int(session.exitstatus)}
        if unheard:
            # A sweep would take it for a list of all that the run had.
            facts["ended"] = f"{NOT_ENDED}: not all workers reported what they left"
        ended = draft.model_copy(update=facts)
        # All views are made from this report.
        report: Report = cleaned(ended, self._scrub)
        return report

    def _draft(
        self,
        session: pytest.Session,
        instances: Sequence[InstanceReport],
        tests: Sequence[CaseReport],
        stories: Stories,
    ) -> Report:
        begun = self._begun
        assert begun is not None  # This is the main process.
        return begun.model_copy(
            update={
                "seconds": (datetime.now(UTC) - begun.began).total_seconds(),
                "exit_code": int(session.exitstatus),
                "ended": self.ending.words(session, self._interrupts.received),
                "instances": tuple(instances),
                "tests": tuple(tests),
                "not_run": self.ending.not_run(stories.selected, {one.id for one in tests}),
                "breaches": tuple(breaches(instances, begun.budgets)),
                "manners": manners_of(stories.forms),
            }
        )

    def _close(self, *, at_the_end: bool = False) -> None:
        session = self._active.session
        self._interrupts.begin_clean_up()
        try:
            if not self._worker:
                if self._interrupts.received is not None or self.workers.silent:
                    # Workers may outlive this by seconds: they must not begin anything more.
                    self._ledger.stop()
                self._adopt(session)
            if self._interrupts.received is not None:
                self._say(terminal.deleting(session.pending))
            session.close()
            if at_the_end and self._is_owner:
                # Nothing may begin after the last look, nor between it and what it looks at.
                session.end()
                session.close()
                self.views.remarks += session.look_back()
            if at_the_end:
                for record in session.records:
                    record.end_turn()
        finally:
            self._interrupts.end_clean_up()

    def _adopt(self, session: SmokeSession) -> None:
        """Own what workers have left: shared instances, and those of crashed workers."""
        session.adopt(self._told.stories.instances)
        while self._cases.crashed:
            self._told.crash(self._cases.crashed.pop())
        stories = self._told.stories.instances
        for record in session.records:
            known = stories.get(record.reference or "")
            if known is not None and known.failed:
                record.blame()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_unconfigure(self) -> Generator[None, object, object]:
        # Outermost: some plugins write output here, which fails if it is closed.
        if not self._is_run:
            return (yield)
        try:
            try:
                self._close()
                if self._is_owner:
                    self._ledger.mark_ended()
            finally:
                self._active.session.end()
                self._active.release()
            self._conclude_late()
            self._interrupts.catch_up()
            self._report_late()
            return (yield)
        except BaseException as error:
            number = self._interrupts.received if isinstance(error, KeyboardInterrupt) else None
            self._broken_off |= number is None
            self._conclude_late()
            if number is None:
                raise
            # pytest expects no exception here, and the exit code is that of the signal.
            self._say_late([f"hydra-smoke: {_late_interrupt(number)}"])
            return None
        finally:
            if self._is_owner:
                self._journal.discard(self._ledger.folder)
            self._ledger.end()
            self._interrupts.leave()
            if self._fake is not None:
                self._fake.__exit__(None, None, None)

    def _report_late(self) -> None:
        """Report the leaks that no summary has shown.

        They come from an interrupt of the first clean-up, or from a worker that outlived it; and
        pytest shows no summary after `pytest.exit` with a code of its own.
        """
        if self._worker:
            return
        summed_up = self._report.instances if self._report else ()
        shown = {instance.idempotency_key for instance in summed_up if self.views.summary_shown}
        late = with_commands(self._told.instances, self._commands)
        leaks = [one for one in (*summed_up, *late) if one.outcome == "leaked"]
        for key, leak in {leak.idempotency_key: leak for leak in leaks}.items():
            if key not in shown:
                self._say_late([terminal.leak(leak, fake=self._fake is not None)])

    def _say_late(self, lines: Iterable[str]) -> None:
        for line in lines:
            with suppress(Exception):  # Standard error may be closed.
                sys.stderr.write(self._scrub(line) + "\n")
