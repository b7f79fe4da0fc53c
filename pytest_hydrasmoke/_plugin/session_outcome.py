"""What is seen of a session: the outcomes of its tests, what ended it early, and more.

pytest's exit code does not show this: `pytest.exit` can set any code, even 0.
"""

from __future__ import annotations

import signal
import traceback
from collections.abc import Generator
from dataclasses import dataclass

import pytest

from pytest_hydrasmoke._base.text import first_few, safe_line
from pytest_hydrasmoke._journal.events import Selected
from pytest_hydrasmoke._journal.run_story import RunStory
from pytest_hydrasmoke._report.parts import CaseReport

from .context import CONTINUES, OF_NO_TEST, RunContext
from .resources import Resources

_MOST = 10
"""How many modules that could not be collected are named."""
_OWN_CLIENT = "hydra_smoke_own_client"
"""The keyword of a test that has the run's settings, and no fixture to ask by: it may do so itself.
"""
_ASKING = frozenset({"smoke_instance", "smoke_instance_factory", "smoke_client"})
"""The fixtures by which a test asks the router, without their `async_`."""
_OUTCOMES = ("interrupted", "skipped", "passed", "xfailed", "xpassed", "error", "failed")
"""From least to most important: of several outcomes, the last in this order counts."""


class SessionOutcome:
    """Sees how the session goes, in each of its processes."""

    def __init__(self, context: RunContext, *, resources: Resources) -> None:
        self._context = context
        self._resources = resources
        self._words: str | None = None
        self._uncollected: list[str] = []
        self.cases = Cases()

    def ended(self, number: int | None) -> str | None:
        """Return what ended the session early, such as a signal of this number."""
        if number is not None:
            name = signal.Signals(number).name.removeprefix("SIG")
            return self._resources.interrupts.why or f"signal: {name}"
        if self._words is None and self._uncollected:
            # xdist goes on without them, and so does pytest with --continue-on-collection-errors.
            self._ended_by("collection errors", first_few(self._uncollected, _MOST), own=True)
        return self._words

    def saw_end(self, error: BaseException) -> None:
        """Record what has broken off the session, unless something else did before."""
        match error:
            case pytest.exit.Exception():
                self._ended_by("pytest.exit", str(error.msg or ""))
            case _ if type(error) is KeyboardInterrupt:
                self._ended_by("interrupt", str(error))
            case KeyboardInterrupt() | pytest.Session.Failed():
                # Of pytest and xdist, where something has stopped the session.
                if not self._uncollected:
                    self._ended_by("stopped", str(error))
            case _:
                words = "".join(traceback.format_exception_only(error))
                self._ended_by("internal error", words)

    def _ended_by(self, kind: str, words: str, *, own: bool = False) -> None:
        """Record an ending; the words are `own` if no test and no agent has a part in them."""
        # Masked before it is cut: a part of the token might not be found later.
        line = self._context.scrub(" ".join(words.split()))
        shown = safe_line(line, 500) if own or self._context.config.report_replies else ""
        self._words = f"{kind}: {shown}" if shown else kind

    # Hooks

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        try:
            return (yield)
        except pytest.UsageError as error:
            self._ended_by("usage error", "; ".join(map(str, error.args)), own=True)
            raise

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._uncollected.append(report.nodeid)

    # Before `Objections`, which may clear the items.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> Generator[None, object, object]:
        marked = [it for it in session.items if it.get_closest_marker("hydra_smoke")]
        for item in marked:
            names = {it.removeprefix("async_") for it in getattr(item, "fixturenames", ())}
            if "smoke_config" in names and names.isdisjoint(_ASKING):
                item.keywords[_OWN_CLIENT] = 1
        if marked:
            self._resources.journal.note(Selected([it.nodeid for it in marked]))
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.cases.saw(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.saw_end(excinfo.value)

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.saw_end(excinfo.value)


@dataclass(slots=True)
class _Case:
    """A test, as far as it is reported."""

    outcome: str = _OUTCOMES[0]
    seconds: float = 0.0
    executed: bool = False
    over: bool = False
    """Whether its teardown is reported."""
    crashed: bool = False
    """Whether its worker ended in it; xdist says the same of one that was interrupted."""


class Cases:
    """The tests of a run, as far as they are reported: each outcome combined from its phases.

    The main process sees all reports, including those of a worker that crashes later. Which tests
    are smoke tests, and what they used, is in the journals of the processes that ran them.
    """

    def __init__(self) -> None:
        self._cases: dict[str, _Case] = {}
        self.continuing: set[str] = set()
        """The tests that mean to go on with what others have said."""
        self.own_client = False
        """Whether a test was executed that may have asked the router with a client of its own."""
        self.crashed: list[pytest.TestReport] = []
        """The reports of tests in which a worker crashed, until they are told."""

    def saw(self, report: pytest.TestReport) -> None:
        """Record the report of a phase."""
        if report.nodeid.startswith(OF_NO_TEST):
            return
        case = self._cases.setdefault(report.nodeid, _Case())
        case.seconds += report.duration
        if CONTINUES in report.keywords:
            self.continuing.add(report.nodeid)
        if report.failed and report.when not in ("setup", "call", "teardown", "collect"):
            case.crashed = True
            self.crashed.append(report)
            return
        case.outcome = max(case.outcome, _outcome(report), key=_OUTCOMES.index)
        # A skipped test was not executed, nor one that a plugin runs again; an expected failure
        # was, but is reported as skipped.
        ran = report.passed or report.failed or hasattr(report, "wasxfail")
        executed = report.when == "call" and ran
        case.executed |= executed
        self.own_client |= executed and _OWN_CLIENT in report.keywords
        case.over |= report.when == "teardown"

    def executed(self, story: RunStory) -> bool:
        """Return whether any smoke test was executed."""
        smoke = story.smoke_tests
        return any(case.executed for test, case in self._cases.items() if test in smoke)

    def broken_off(self, story: RunStory) -> bool:
        """Return whether any smoke test was interrupted before its teardown was reported."""
        return any(not self._cases.get(test, _Case()).over for test in story.cut_short)

    def reports(self, story: RunStory) -> list[CaseReport]:
        """Return the smoke tests, in the order in which they were first reported.

        One that was interrupted has no report, or no outcome.
        """
        begun = dict.fromkeys([*self._cases, *story.used, *story.cut_short])
        smoke = story.smoke_tests
        return [self._report(test, story) for test in begun if test in smoke]

    def _report(self, test: str, story: RunStory) -> CaseReport:
        case = self._cases.get(test, _Case())
        crashed = case.crashed and test not in story.cut_short
        runs, passed = story.runs.get(test, (None, None))
        red = crashed or case.outcome in ("error", "failed")
        why = story.failures.get(test) if red else None
        not_run = story.untried.get(test) if case.outcome == "skipped" else None
        return CaseReport(
            id=test,
            outcome=_OUTCOMES[-1] if crashed else case.outcome,
            seconds=case.seconds,
            runs=runs,
            passed=passed,
            instances=tuple(story.users(test)),
            failure=why,
            not_run=not_run,
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
