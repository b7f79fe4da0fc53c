"""Match failures of tests with instances, and add both to the reports of the tests."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import cast

import pytest

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.errors import HydraSmokeError, NotFoundError, hide_own_frames
from pytest_hydrasmoke._base.pytest_internals import add_section, failure_words
from pytest_hydrasmoke._base.text import safe_text
from pytest_hydrasmoke._base.token import scrubbing
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.events import Cured, FailedTest
from pytest_hydrasmoke._journal.journal import Journal
from pytest_hydrasmoke._journal.stories import cured, fail_test
from pytest_hydrasmoke._report import junit, turns
from pytest_hydrasmoke._settings.model import HydraSmokeConfig

from .scopes import advise_on_scope

__tracebackhide__ = hide_own_frames


class Failures:
    """Matches what makes a test fail with the failures in the records of its instances."""

    def __init__(
        self, pytest_config: pytest.Config, config: HydraSmokeConfig, journal: Journal
    ) -> None:
        self._journal = journal
        self._pytest = pytest_config
        self._replies = config.report_replies
        self._scrub = scrubbing(config.token)
        self._records: Sequence[InstanceRecord] | None = None
        """Those of this process; None until it uses instances."""
        self._shared: dict[str, InstanceRecord] = {}
        """The shared instance of each test that has one."""
        self._test_began = 0.0
        """When the test was last set up, on the clock of its turns; plugins may run it again."""
        self._causes: dict[tuple[str, str | None], list[int]] = {}
        """The numbers of the failures behind each report, until it is logged."""
        self._test = ""
        """The running test."""
        self._again = False
        """Whether a plugin runs it again."""
        self.runs: tuple[int, int] | None = None
        """How often its body was run, and how often that passed."""
        self.not_found = False
        """Whether the test failed because the router does not know something."""

    def follow(self, records: Sequence[InstanceRecord]) -> None:
        """Follow this process's instances: a list that grows."""
        self._records = records

    def shares(self, test: str, record: InstanceRecord) -> None:
        """Record the shared instance that a test uses."""
        self._shared[test] = record

    def test_begins(self, test: str) -> None:
        """Forget what the previous test did."""
        self._test, self._again, self.runs = test, False, None
        self.not_found = False
        for record in self._records or ():
            record.touched = False

    def used_by(self, test: str) -> list[InstanceRecord]:
        """Return the instances that the current test has used so far."""
        shared = self._shared.get(test)
        return [record for record in self._records or () if record.touched or record is shared]

    def run_failed(self, test: str, error: BaseException) -> None:
        """Record the error of one of a test's runs: it counts if the test fails."""
        self._causes.setdefault((test, "call"), []).extend(failures_of(error))

    # Hooks

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Find which recorded failures made a test fail, and show its chat turns."""
        if call.excinfo is not None and call.when == "setup":
            advise_on_scope(call.excinfo.value)
        report = yield
        if call.excinfo is not None:
            causes = self._causes.setdefault((report.nodeid, report.when), [])
            causes.extend(failures_of(call.excinfo.value))
            self.not_found |= any(
                isinstance(error, NotFoundError) for error in errors_in(call.excinfo.value)
            )
        if self.runs is not None and junit.tests_may_carry(self._pytest):
            report.user_properties += junit.of_runs(*self.runs)
        if report.failed and (chats := self._turns_of(report.nodeid)):
            words = turns.section(chats, replies=self._replies)
            add_section(report, turns.TITLE, self._scrub(words))
        return report

    def _turns_of(self, test: str) -> list[turns.Turn]:
        """Return a test's turns in order, without those of an earlier attempt."""
        found = [
            (at, record.reference or "?", turn)
            for record in self._records or ()
            for at, turn in record.told_turns
            if turn.test == test and at >= self._test_began
        ]
        return [(name, turn) for _, name, turn in sorted(found, key=lambda it: it[0])]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self._test_began, self.runs = clock.now(), None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record, for `keep` and for the run's report, which instances a failed test used."""
        # Reports of workers, and of what is no test, are told by others.
        if self._records is None or report.nodeid != self._test:
            return
        causes = self._causes.pop((report.nodeid, report.when), [])
        using = self.used_by(report.nodeid)
        # Plugins that run a test again report an outcome of their own.
        if report.failed or str(report.outcome) == "rerun":
            self._tell(report, causes, using)
        elif report.when == "call" and report.passed and self._again:
            self._again = False
            self._journal.note(Cured(report.nodeid))
            for record in self._records:
                cured(record, report.nodeid)
        if junit.tests_may_carry(self._pytest):
            shared = self._shared.get(report.nodeid)
            for record in self._records:
                failed_of_it = any(it.test == report.nodeid for it in record.failures.values())
                if failed_of_it or record is shared:
                    report.user_properties += junit.of_test(
                        record.key, record, replies=self._replies
                    )

    def _tell(
        self, report: pytest.TestReport, causes: Sequence[int], using: Sequence[InstanceRecord]
    ) -> None:
        words = safe_text(failure_words(report))
        kind = words.partition(":")[0]
        failed = FailedTest(
            report.nodeid,
            words,
            kind if kind.isidentifier() else "failed",
            tuple(causes),
            tuple(record.reference for record in using if record.reference is not None),
            again=not report.failed,
        )
        self._again |= failed.again
        at = clock.now()
        self._journal.note(failed, at=at)
        for record in self._records or ():
            fail_test(record, "", at, failed, uses=record in using)


def failures_of(error: BaseException) -> Iterator[int]:
    """Yield the numbers of the recorded failures of an error, its causes and its members."""
    for one in errors_in(error):
        if isinstance(one, HydraSmokeError) and one.failure is not None:
            yield one.failure


def errors_in(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its causes, and the members of exception groups."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", one).exceptions
        context = None if one.__suppress_context__ else one.__context__
        waiting += [other for other in (one.__cause__, context) if other is not None]
