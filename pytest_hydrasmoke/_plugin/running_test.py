"""Match failures of tests with instances, and add both to the reports of the tests."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from typing import Protocol, cast

import pytest

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.errors import OTHERS, HydraSmokeError, NotFoundError
from pytest_hydrasmoke._base.pytest_internals import add_section, failure_words
from pytest_hydrasmoke._base.text import safe_text
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._journal.chat import Turn
from pytest_hydrasmoke._journal.events import Cured, CutShort, FailedTest, RunsCounted
from pytest_hydrasmoke._report import turns
from pytest_hydrasmoke._report.junit import (
    case_properties,
    cases_have_properties,
    repeat_properties,
)

from .context import RunContext
from .refutations import Refutations
from .resources import Resources


class CurrentTest(Protocol):
    """Who is on stage."""

    test: str


class RunningTest:
    """What becomes of the running test, and which recorded failures made it fail.

    An error carries the number of its failure; what is told of a failed test are numbers.
    """

    def __init__(
        self,
        context: RunContext,
        *,
        resources: Resources,
        stage: CurrentTest,
        refutations: Refutations,
    ) -> None:
        self._context = context
        self._resources = resources
        self._stage = stage
        self._refutations = refutations
        self._replies = context.config.report_replies
        self._begins()

    @property
    def instances(self) -> Sequence[Instance]:
        """The instances of this process."""
        return self._resources.instances

    def _begins(self) -> None:
        """Forget what the previous test did."""
        self._again = False
        """Whether a plugin runs it again."""
        self._began = clock.now()
        """When it was last set up, on the clock of its turns."""
        self._causes: defaultdict[str | None, list[int]] = defaultdict(list)
        """The numbers of the failures behind the report of each phase, until it is logged."""
        self._repeats: tuple[int, int] | None = None
        """How often its body was run, and how often that passed, where it has several runs."""
        self.shared: Instance | None = None
        """The shared instance that it uses."""
        self._in_vain: dict[str, str] = {}
        """What it has tried in vain, and the error's name."""
        self.not_found = False
        """Whether it failed because the router does not know something."""
        for instance in self.instances:
            instance.touched = False

    @property
    def used(self) -> list[Instance]:
        """The instances that the current test has used so far."""
        return [instance for instance in self.instances if instance.touched]

    def repeat_failed(self, error: BaseException) -> None:
        """Record the error of one of the test's runs: it counts if the test fails."""
        self._causes["call"] += failures_of(error)

    def ran(self, began: int, passed: int, most: int) -> None:
        """Record how many of the test's `most` runs have begun, and how many have passed."""
        self._resources.journal.note(RunsCounted(self._stage.test, began, passed, most))
        self._repeats = began, passed

    # Hooks

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._begins()
        try:
            return (yield)
        except BaseException:
            # Now, because the clean-up that follows uses all instances.
            if self.used or item.get_closest_marker("hydra_smoke"):
                self._resources.journal.note(CutShort(item.nodeid))
            raise

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self._began, self._repeats = clock.now(), None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Find which recorded failures made a test fail, and show its chat turns."""
        if call.excinfo is not None and call.when == "setup":
            _advise_on_scope(call.excinfo.value)
        report = yield
        if call.excinfo is not None:
            errors = [*errors_in(call.excinfo.value)]
            self._causes[report.when] += failures_of(call.excinfo.value)
            self.not_found |= any(isinstance(error, NotFoundError) for error in errors)
            ours = [error for error in errors if isinstance(error, HydraSmokeError)]
            self._in_vain |= {it.in_vain: type(it).__name__ for it in ours if it.in_vain}
        if self._repeats is not None and cases_have_properties(self._context.pytestconfig):
            report.user_properties += repeat_properties(*self._repeats)
        if report.failed and (chats := self._turns_of(report.nodeid)):
            words = turns.section(chats, replies=self._replies)
            add_section(report, turns.TITLE, self._context.scrub(words))
        return report

    def _turns_of(self, test: str) -> list[tuple[str, Turn]]:
        """Return a test's turns in order, without those of an earlier attempt."""
        found = [
            (at, instance.reference or "?", turn)
            for instance in self.instances
            for at, turn in instance.target.told_turns
            if turn.test == test and at >= self._began
        ]
        return [(name, turn) for _, name, turn in sorted(found, key=lambda it: it[0])]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record, for `keep` and for the run's report, which instances a failed test used."""
        # Reports of workers, and of what is no test, are told by others.
        if report.nodeid != self._stage.test:
            return
        # One without an instance is told, too, if it is a smoke test.
        if not self.instances and "hydra_smoke" not in report.keywords:
            return
        causes = self._causes.pop(report.when, [])
        # Plugins that run a test again report an outcome of their own.
        if report.failed or str(report.outcome) == "rerun":
            self._tell(report, causes)
        elif report.when == "call" and report.passed and self._again:
            self._again = False
            self._resources.journal.note(Cured(report.nodeid))
            for what in self._in_vain:
                self._refutations.tell(what, report.nodeid, None)
            for instance in self.instances:
                instance.cure(report.nodeid)
        if cases_have_properties(self._context.pytestconfig):
            for instance in self.instances:
                failed_of_it = any(it.test == report.nodeid for it in instance.failures.values())
                if failed_of_it or instance is self.shared:
                    report.user_properties += case_properties(
                        instance.key, instance, replies=self._replies
                    )

    def _tell(self, report: pytest.TestReport, causes: Sequence[int]) -> None:
        words, used = safe_text(failure_words(report)), self.used
        kind = words.partition(":")[0]
        failed = FailedTest(
            report.nodeid,
            words,
            kind if kind.isidentifier() else "failed",
            tuple(causes),
            tuple(instance.reference for instance in used if instance.reference is not None),
            again=not report.failed,
        )
        self._again |= failed.again
        for what, error in self._in_vain.items():
            why = f"{what} was shown to fail in {report.nodeid} ({error})"
            self._refutations.tell(what, report.nodeid, why)
        at = clock.now()
        self._resources.journal.note(failed, at=at)
        for instance in self.instances:
            instance.fail_test("", at, failed, uses=instance in used)


def failures_of(error: BaseException) -> Iterator[int]:
    """Yield the numbers of the recorded failures of an error, its causes and its members."""
    for one in errors_in(error):
        if isinstance(one, HydraSmokeError) and one.failure is not None:
            yield one.failure


def errors_in(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its causes, those beside it, and the members of exception groups."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", one).exceptions
        waiting += vars(one).get(OTHERS, ())
        context = None if one.__suppress_context__ else one.__context__
        waiting += [other for other in (one.__cause__, context) if other is not None]


def _advise_on_scope(error: BaseException) -> None:
    """Extend pytest's ScopeMismatch message with what to use there."""
    words = str(error)
    if isinstance(error, pytest.fail.Exception) and re.match(r"ScopeMismatch: .*smoke_", words):
        error.msg = (
            f"{words}\nhydra-smoke: a fixture of wider scope takes its instance from "
            "smoke_instance_factory: docs/write/instances.md"
        )
