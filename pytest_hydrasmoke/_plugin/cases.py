"""What became of each smoke test, put together from pytest's reports of its phases.

The main process sees all reports, those of workers too, also of one that crashes later.
"""

from __future__ import annotations

import pytest

from pytest_hydrasmoke._report.model import CaseReport

from .runs import RUNS

USED = "hydra_smoke_used"
"""An attribute of a test's report: the instances that it used by then, by key or id."""

_OUTCOMES = ("interrupted", "skipped", "passed", "xfailed", "xpassed", "error", "failed")
"""From the least telling one: of several the last in this order counts."""


class Cases:
    """The smoke tests of a run, as far as they are reported."""

    def __init__(self) -> None:
        self._cases: dict[str, CaseReport] = {}

    @property
    def reports(self) -> list[CaseReport]:
        """What is known by now, in the order in which tests were first reported."""
        return list(self._cases.values())

    def saw(self, report: pytest.TestReport) -> None:
        """Take in the report of a phase; of a test that is no smoke test, nothing is kept."""
        used: list[str] = getattr(report, USED, [])
        case = self._cases.get(report.nodeid)
        if case is None:
            if not used and "hydra_smoke" not in report.keywords:
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


def _outcome(report: pytest.TestReport) -> str:
    if report.failed:
        # xdist has a word of its own for when a worker has crashed.
        return "error" if report.when in ("setup", "teardown") else "failed"
    if report.skipped:
        return "xfailed" if hasattr(report, "wasxfail") else "skipped"
    if report.passed and report.when == "call":
        return "xpassed" if hasattr(report, "wasxfail") else "passed"
    # It goes on, or plugins run it again.
    return _OUTCOMES[0]
