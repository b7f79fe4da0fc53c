"""What becomes of a test: of the reports of its phases, and of what processes tell of it."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_hydrasmoke import ChatError
from pytest_hydrasmoke._journal.events import CutShort, Entry, Event, RunsCounted, Selected, Used
from pytest_hydrasmoke._journal.run_story import RunStory, fold
from pytest_hydrasmoke._plugin.running_test import failures_of
from pytest_hydrasmoke._plugin.session_outcome import Cases

TEST = "t.py::test_a"


def stories(*events: tuple[str | None, Event]) -> RunStory:
    return fold({"gw0": [Entry(at, of, event) for at, (of, event) in enumerate(events)]})


def cases(*phases: tuple[Any, Any] | tuple[Any, Any, str]) -> Cases:
    """Return what is seen of a test's phases: each with its outcome, or as it was expected."""
    seen = Cases()
    for when, outcome, *expected in phases:
        # A folder may have that name.
        keywords, place = {"hydra_smoke": 1}, ("t.py", 1, "test_a")
        it = pytest.TestReport(TEST, place, keywords, outcome, None, when, duration=0.5)
        vars(it).update(dict.fromkeys(expected, "why"))
        seen.saw(it)
    return seen


SET_UP, PASSED = ("setup", "passed"), ("call", "passed")
CRASHED = ("???", "failed")
MARKED: tuple[str | None, Event] = (None, Selected([TEST]))
CUT_SHORT: tuple[str | None, Event] = (None, CutShort(TEST))


@pytest.mark.parametrize(
    ("phases", "told", "outcome"),
    [
        ([SET_UP], [MARKED], "interrupted"),
        ([SET_UP, PASSED, ("teardown", "passed")], [MARKED], "passed"),
        ([("setup", "skipped"), ("teardown", "passed")], [MARKED], "skipped"),
        ([SET_UP, ("call", "skipped", "wasxfail")], [MARKED], "xfailed"),
        ([SET_UP, (*PASSED, "wasxfail")], [MARKED], "xpassed"),
        ([SET_UP, ("call", "failed"), ("teardown", "failed")], [MARKED], "failed"),
        ([SET_UP, PASSED, ("teardown", "failed")], [MARKED], "error"),
        ([("setup", "failed"), ("teardown", "passed")], [MARKED], "error"),
        # As pytest-rerunfailures and a crash under xdist are told.
        ([SET_UP, ("call", "rerun"), SET_UP, PASSED], [MARKED], "passed"),
        ([SET_UP, CRASHED], [MARKED], "failed"),
        # What an interrupt ended in a worker has not crashed.
        ([CRASHED], [MARKED, CUT_SHORT], "interrupted"),
        # One without a report was interrupted, if it has begun.
        ([], [("run-0", Used(TEST))], "interrupted"),
        ([], [CUT_SHORT], "interrupted"),
        ([], [MARKED], None),
        # It is no smoke test.
        ([SET_UP], [], None),
    ],
)
def test_an_outcome_is_made_of_all_phases(
    phases: list[Any], told: list[tuple[str | None, Event]], outcome: str | None
) -> None:
    seen = cases(*phases)
    reports = [(it.id, it.outcome, it.seconds) for it in seen.reports(stories(*told))]
    assert reports == ([] if outcome is None else [(TEST, outcome, len(phases) * 0.5)])
    assert [it.nodeid for it in seen.crashed] == [TEST] * phases.count(CRASHED)


def test_what_processes_tell_of_a_test_is_taken_in() -> None:
    told = stories(
        ("run-0", Used(TEST)),
        ("run-1", Used(TEST)),
        ("run-1", Used(TEST, teardown=True)),
        ("run-2", Used(TEST, teardown=True)),
        (None, RunsCounted(TEST, 5, 3)),
    )
    [case] = cases(SET_UP).reports(told)
    assert case.instances == ("run-0", "run-1"), "in a teardown, fixtures of other tests end too"
    assert (case.runs, case.passed) == (5, 3)


def test_a_failure_is_found_in_groups_and_causes_and_told_once() -> None:
    error = ChatError("cut")
    error.failure = 7
    other = LookupError("of a test's own")
    other.__cause__ = error
    expected = RuntimeError("after it")
    expected.__context__, expected.__suppress_context__ = error, True
    group = ExceptionGroup("several", [other, ValueError("no matter"), error])
    assert list(failures_of(group)) == [7]
    assert list(failures_of(expected)) == []
