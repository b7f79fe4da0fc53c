"""The outcome of each test, combined from pytest's reports of its phases.

The main process sees all reports, including those of a worker that crashes later. Which tests are
smoke tests, and what they used, is in the journals of the processes that ran them.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pytest_hydrasmoke._journal.stories import Stories
from pytest_hydrasmoke._report.model import CaseReport

_OUTCOMES = ("interrupted", "skipped", "passed", "xfailed", "xpassed", "error", "failed")
"""From least to most important: of several outcomes, the last in this order counts."""


@dataclass(slots=True)
class _Case:
    """A test, as far as it is reported."""

    outcome: str = _OUTCOMES[0]
    seconds: float = 0.0
    executed: bool = False
    crashed: bool = False
    """Whether its worker ended in it; xdist says the same of one that was interrupted."""


class Cases:
    """The tests of a run, as far as they are reported."""

    def __init__(self) -> None:
        self._cases: dict[str, _Case] = {}
        self.crashed: list[pytest.TestReport] = []
        """The reports of tests in which a worker crashed, until they are told."""

    def saw(self, report: pytest.TestReport) -> None:
        """Record the report of a phase."""
        case = self._cases.setdefault(report.nodeid, _Case())
        case.seconds += report.duration
        if report.failed and report.when not in ("setup", "call", "teardown", "collect"):
            case.crashed = True
            self.crashed.append(report)
            return
        case.outcome = max(case.outcome, _outcome(report), key=_OUTCOMES.index)
        # A skipped test was not executed; an expected failure was, but is reported as skipped.
        ran = report.when == "call" and (not report.skipped or hasattr(report, "wasxfail"))
        case.executed |= ran

    def executed(self, stories: Stories) -> bool:
        """Return whether any smoke test was executed."""
        smoke = stories.smoke_tests
        return any(case.executed for test, case in self._cases.items() if test in smoke)

    def reports(self, stories: Stories) -> list[CaseReport]:
        """Return the smoke tests, in the order in which they were first reported.

        One that was interrupted has no report, or no outcome.
        """
        begun = dict.fromkeys([*self._cases, *stories.used, *stories.cut_short])
        smoke = stories.smoke_tests
        return [self._report(test, stories) for test in begun if test in smoke]

    def _report(self, test: str, stories: Stories) -> CaseReport:
        case = self._cases.get(test, _Case())
        crashed = case.crashed and test not in stories.cut_short
        runs, passed = stories.runs.get(test, (None, None))
        return CaseReport(
            id=test,
            outcome=_OUTCOMES[-1] if crashed else case.outcome,
            seconds=case.seconds,
            runs=runs,
            passed=passed,
            instances=tuple(stories.users(test)),
        )


def _outcome(report: pytest.TestReport) -> str:
    if report.failed:
        return "error" if report.when in ("setup", "teardown") else "failed"
    if report.skipped:
        return "xfailed" if hasattr(report, "wasxfail") else "skipped"
    if report.passed and report.when == "call":
        return "xpassed" if hasattr(report, "wasxfail") else "passed"
    # The test goes on, or a plugin runs it again.
    return _OUTCOMES[0]
