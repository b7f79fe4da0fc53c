"""Match failures of tests with instances, and add both to the reports of the tests."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from typing import cast

import pytest

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.errors import HydraSmokeError, NotFoundError, hide_own_frames
from pytest_hydrasmoke._base.pytest_internals import add_section, failure_words
from pytest_hydrasmoke._base.text import safe_text
from pytest_hydrasmoke._base.token import scrubbing
from pytest_hydrasmoke._core.moments import Failure
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._report import junit, turns
from pytest_hydrasmoke._report.smoke_tests import MARKED, USED
from pytest_hydrasmoke._settings.model import HydraSmokeConfig

from .runs import RUNS
from .scopes import advise_on_scope

__tracebackhide__ = hide_own_frames

FAILED = "hydra_smoke_failed"
"""An attribute of a failed test's report: keys of the instances that its failure counts against."""


class Failures:
    """Matches what makes a test fail with the failures in the records of its instances."""

    def __init__(self, pytest_config: pytest.Config, config: HydraSmokeConfig) -> None:
        self._pytest = pytest_config
        self._replies = config.report_replies
        self._scrub = scrubbing(config.token)
        self._records: Sequence[InstanceRecord] | None = None
        """Those of this process; None until it uses instances."""
        self._shared: dict[str, InstanceRecord] = {}
        """The shared instance of each test that has one."""
        self._test_began = 0.0
        """When the test was last set up, on the clock of its turns; plugins may run it again."""
        self._causes: dict[tuple[str, str | None], list[Failure]] = {}
        """Failures behind each report, until it is logged."""
        self._to_be_cured: dict[str, list[Failure]] = {}
        """Failures of attempts that plugins repeat, until the test passes."""
        self.not_found = False
        """Whether the test failed because the router does not know something."""

    def follow(self, records: Sequence[InstanceRecord]) -> None:
        """Follow this process's instances: a list that grows."""
        self._records = records

    def shares(self, test: str, record: InstanceRecord) -> None:
        """Record the shared instance that a test uses."""
        self._shared[test] = record

    def test_begins(self) -> None:
        """Forget what the previous test did."""
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
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Mark reports of smoke tests, and find which recorded failures made a test fail."""
        if call.excinfo is not None and call.when == "setup":
            advise_on_scope(call.excinfo.value)
        report = yield
        setattr(report, MARKED, item.get_closest_marker("hydra_smoke") is not None)
        if call.excinfo is not None:
            causes = self._causes.setdefault((report.nodeid, report.when), [])
            causes.extend(failures_of(call.excinfo.value))
            self.not_found |= any(
                isinstance(error, NotFoundError) for error in errors_in(call.excinfo.value)
            )
        if hasattr(report, RUNS) and junit.tests_may_carry(self._pytest):
            report.user_properties += junit.of_runs(*getattr(report, RUNS))
        if report.failed and (chats := self._turns_of(report.nodeid)):
            words = turns.section(chats, replies=self._replies)
            add_section(report, turns.TITLE, self._scrub(words))
        return report

    def _turns_of(self, test: str) -> list[turns.Turn]:
        """Return a test's turns in order, without those of an earlier attempt."""
        found = [
            (record.reference or "?", turn)
            for record in self._records or ()
            for turn in record.turns
            if turn.test == test and turn.at >= self._test_began
        ]
        return sorted(found, key=lambda pair: pair[1].at)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self._test_began = clock.now()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record, for `keep` and for the run's report, which instances a failed test used.

        A worker's report of the test carries it to xdist's main process.
        """
        if self._records is None:
            return
        shared = self._shared.get(report.nodeid)
        causes = self._causes.pop((report.nodeid, report.when), [])
        using = self.used_by(report.nodeid)
        if report.when != "teardown":  # Fixtures of other tests end there, too.
            setattr(report, USED, [record.reference for record in using])
        # Plugins that run a test again report an outcome of their own.
        if report.failed or str(report.outcome) == "rerun":
            words = safe_text(failure_words(report))
            failures = add_failure(report.nodeid, words, causes, using)
            if report.failed:
                for record in using:
                    record.failed = True
                setattr(report, FAILED, [record.key for record in using if record.key is not None])
            else:
                self._to_be_cured.setdefault(report.nodeid, []).extend(failures)
        elif report.when == "call" and report.passed:
            for failure in self._to_be_cured.pop(report.nodeid, []):
                failure.cured = True
        if junit.tests_may_carry(self._pytest):
            for record in self._records:
                failed_of_it = any(one.test == report.nodeid for one in record.failures)
                if failed_of_it or record is shared:
                    report.user_properties += junit.of_test(record, replies=self._replies)


def add_failure(
    test: str, message: str, causes: Collection[Failure], used: Collection[InstanceRecord]
) -> list[Failure]:
    """Add a test's failure to the record of each instance that it used, or that caused it.

    `causes` are the recorded failures that made the test fail.
    """
    failures = list(causes)
    for failure in failures:
        failure.test = failure.test or test
    kind = message.partition(":")[0]
    brief = kind if kind.isidentifier() else "failed"
    for record in used:
        if not any(known in causes for known in record.failures):
            failures.append(Failure(clock.now(), message, brief, test=test))
            record.fails(failures[-1])
    return failures


def failures_of(error: BaseException) -> Iterator[Failure]:
    """Yield the recorded failures of an error, its causes and its members."""
    for one in errors_in(error):
        if isinstance(one, HydraSmokeError) and isinstance(one.failure, Failure):
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
