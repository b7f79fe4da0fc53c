"""The verdict on a run beside its tests: its exit code, and failures of no test."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from pytest_hydrasmoke._base.pytest_internals import session_of
from pytest_hydrasmoke._report import terminal
from pytest_hydrasmoke._report.model import Report

OF_NO_TEST = "hydra-smoke::"
"""How the ids of reports begin that are of no test."""


def exit_code(before: int, *, failed: bool, signal: int | None) -> int:
    """Return a run's exit code: failures at its end add to those of tests, and hide none."""
    if signal is not None:
        return 128 + signal
    clean = before in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    return pytest.ExitCode.TESTS_FAILED if failed and clean else before


def unproved(report: Report, *, executed: bool) -> str | None:
    """Return why a run in which nothing failed is not green; `executed`: if any smoke test was."""
    if not executed:
        return "no smoke test was executed: the run proves nothing"
    if report.is_unfinished:
        # `pytest.exit` may have asked for 0.
        return (
            "not all smoke tests came to their end: the run proves nothing about those that did not"
        )
    return None


class Verdict:
    """Fails a run at its end, for something outside any test; `attempt` calls the hooks."""

    def __init__(
        self, pytest_config: pytest.Config, attempt: Callable[[str, Callable[[], object]], object]
    ) -> None:
        self._pytest = pytest_config
        self._attempt = attempt

    def give(self, report: Report) -> None:
        """Fail the run for each leak, conflict and breach of its report."""
        for instance in report.instances:
            name = instance.id or instance.idempotency_key or "?"
            if instance.outcome == "leaked":
                self.fail("leak", name, terminal.leak(instance, fake=report.fake))
            if instance.conflict is not None:
                self.fail("conflict", name, terminal.conflict(instance))
        for breach in report.breaches:
            self.fail("budget", breach.phase, terminal.breach(breach))

    def fail(self, kind: str, name: str, words: str) -> None:
        """Fail the run at its end, for something outside any test."""
        # A separate report adds to the tests' outcomes and hides none of them. Some plugins,
        # pytest-html among them, accept a test once its teardown is reported.
        session = session_of(self._pytest)
        assert session is not None  # It is at its end.
        session.exitstatus = exit_code(session.exitstatus, failed=True, signal=None)
        session.testscollected += 1  # The terminal shows progress as a share of these.
        nodeid = f"{OF_NO_TEST}{kind}::{name}"
        location = ("hydra-smoke", None, f"{kind} of {name}")
        failed = pytest.TestReport(nodeid, location, {}, "failed", words, "call")
        over = pytest.TestReport(nodeid, location, {}, "passed", None, "teardown")
        for report in (failed, over):
            log = partial(self._pytest.hook.pytest_runtest_logreport, report=report)
            self._attempt(f"the {kind} of {name} was not shown everywhere", log)
