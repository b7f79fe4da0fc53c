"""The outcome of each smoke test, combined from pytest's reports of its phases.

The main process sees all reports, including those of a worker that crashes later.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytest_hydrasmoke._report.model import CaseReport
from pytest_hydrasmoke._report.smoke_tests import USED, is_smoke_test

from .runs import RUNS

_OUTCOMES = ("interrupted", "skipped", "passed", "xfailed", "xpassed", "error", "failed")
"""From least to most important: of several outcomes, the last in this order counts."""


class Cases:
    """The smoke tests of a run, as far as they are reported."""

    def __init__(self) -> None:
        self._cases: dict[str, CaseReport] = {}

    @property
    def reports(self) -> list[CaseReport]:
        """The outcomes so far, in the order in which tests were first reported."""
        return list(self._cases.values())

    def ended_early(self, case: CaseReport) -> None:
        """Record a smoke test that was interrupted; an outcome that was reported stays."""
        known = self._cases.get(case.id, case)
        used = tuple(dict.fromkeys([*known.instances, *case.instances]))
        self._cases[case.id] = known.model_copy(update={"instances": used})

    def saw(self, report: pytest.TestReport) -> None:
        """Record the report of a phase; ignore tests that are not smoke tests."""
        used: list[str] = getattr(report, USED, [])
        case = self._cases.get(report.nodeid)
        if case is None:
            if not is_smoke_test(report):
                return
            case = CaseReport(id=report.nodeid, outcome=_OUTCOMES[0], seconds=0.0)
        runs, passed = getattr(report, RUNS, (case.runs, case.passed))
        self._cases[report.nodeid] = CaseReport(
            id=case.id,
            outcome=max(case.outcome, _outcome(report), key=_OUTCOMES.index),
            seconds=case.seconds + report.duration,
            runs=runs,
            passed=passed,
            instances=tuple(dict.fromkeys([*case.instances, *used])),
        )


def cut_short(test: str, used: Iterable[str | None]) -> CaseReport:
    """Return the outcome of a test that was interrupted, with the instances that it used."""
    instances = tuple(reference for reference in used if reference is not None)
    return CaseReport(id=test, outcome=_OUTCOMES[0], seconds=0.0, instances=instances)


def _outcome(report: pytest.TestReport) -> str:
    if report.failed:
        # xdist has its own name for the phase of a crashed worker.
        return "error" if report.when in ("setup", "teardown") else "failed"
    if report.skipped:
        return "xfailed" if hasattr(report, "wasxfail") else "skipped"
    if report.passed and report.when == "call":
        return "xpassed" if hasattr(report, "wasxfail") else "passed"
    # The test goes on, or a plugin runs it again.
    return _OUTCOMES[0]
