"""The tests in a run's report: what became of each, and which instance and turns are its own."""

from __future__ import annotations

from typing import Any

import pytest
from plugin_tools import QUICK, Project, alone_or_workers

from pytest_hydrasmoke._journal.events import CutShort, Entry, Event, RunsCounted, Selected, Used
from pytest_hydrasmoke._journal.stories import Stories, fold
from pytest_hydrasmoke._plugin.seen import Cases
from pytest_hydrasmoke.fake import FakeRouter

SUITE = """
import pytest

@pytest.fixture
def greeted(smoke_instance):
    smoke_instance.chat("hello")
    yield smoke_instance
    smoke_instance.chat("bye")

@pytest.fixture(scope="module")
def another(smoke_instance_factory):
    with smoke_instance_factory() as it:
        yield it

def test_chats_around_it(greeted):
    greeted.chat("and now?")

def test_fails(smoke_instance):
    smoke_instance.chat("why?")
    raise AssertionError("as it should")

@pytest.mark.skip
def test_is_skipped(smoke_instance):
    pass

def test_uses_two(smoke_instance, another):
    another.chat("who else?")

def test_is_none(tmp_path):
    pass

def test_uses_none_while_another_ends(smoke_client):
    pass
"""


@alone_or_workers
def test_turns_and_instances_name_their_tests(
    project: Project, router: FakeRouter, workers: tuple[str, ...]
) -> None:
    router.scenario = QUICK
    project.at(router, run_id="run").write("test_it.py", SUITE)
    project.live("test_it.py", *workers)
    told = project.report()
    tests = [(it["id"].partition("::")[2], it["outcome"], it["instances"]) for it in told["tests"]]
    assert tests == [
        ("test_chats_around_it", "passed", ["run-0"]),
        ("test_fails", "failed", ["run-0"]),
        ("test_is_skipped", "skipped", []),
        ("test_uses_two", "passed", ["run-0", "run-1"]),
        ("test_uses_none_while_another_ends", "passed", []),
    ]
    assert all(it["runs"] is it["passed"] is None for it in told["tests"])
    assert told["tests"][0]["seconds"] > 0
    used = {
        it["idempotency_key"]: [name.partition("::")[2] for name in it["tests"]]
        for it in told["instances"]
    }
    assert used == {
        "run-0": ["test_chats_around_it", "test_fails", "test_uses_two"],
        "run-1": ["test_uses_two"],
    }
    turns = {turn["message"]: turn["test"] for it in told["instances"] for turn in it["turns"]}
    assert {message: test.partition("::")[2] for message, test in turns.items()} == {
        "hello": "test_chats_around_it",
        "and now?": "test_chats_around_it",
        "bye": "test_chats_around_it",
        "why?": "test_fails",
        "who else?": "test_uses_two",
    }


TEST = "t.py::test_a"


def stories(*events: tuple[str | None, Event]) -> Stories:
    return fold({"gw0": [Entry(at, of, event) for at, (of, event) in enumerate(events)]})


MARKED = stories((None, Selected([TEST])))


def phase(when: Any, outcome: Any = "passed", **more: object) -> pytest.TestReport:
    it = pytest.TestReport(
        TEST,
        ("t.py", 1, "test_a"),
        {"hydra_smoke": 1},  # A folder may have that name.
        outcome,
        None,
        when,
        duration=0.5,
    )
    for name, value in more.items():
        setattr(it, name, value)
    return it


OUTCOMES: list[tuple[list[pytest.TestReport], str]] = [
    ([phase("setup")], "interrupted"),
    ([phase("setup"), phase("call"), phase("teardown")], "passed"),
    ([phase("setup", "skipped"), phase("teardown")], "skipped"),
    ([phase("setup"), phase("call", "skipped", wasxfail="why")], "xfailed"),
    ([phase("setup"), phase("call", wasxfail="why")], "xpassed"),
    ([phase("setup"), phase("call", "failed"), phase("teardown", "failed")], "failed"),
    ([phase("setup"), phase("call"), phase("teardown", "failed")], "error"),
    ([phase("setup", "failed"), phase("teardown")], "error"),
    # As pytest-rerunfailures and a crash under xdist are told.
    ([phase("setup"), phase("call", "rerun"), phase("setup"), phase("call")], "passed"),
    ([phase("setup"), phase("???", "failed")], "failed"),
]


@pytest.mark.parametrize(("phases", "outcome"), OUTCOMES)
def test_an_outcome_is_made_of_all_phases(phases: list[pytest.TestReport], outcome: str) -> None:
    cases = Cases()
    for it in phases:
        cases.saw(it)
    [case] = cases.reports(MARKED)
    assert (case.id, case.outcome, case.seconds) == ("t.py::test_a", outcome, len(phases) * 0.5)


def test_what_processes_tell_of_a_test_is_taken_in() -> None:
    cases = Cases()
    cases.saw(phase("setup"))
    assert cases.reports(stories()) == [], "it is no smoke test"
    told = stories(
        ("run-0", Used(TEST)),
        ("run-1", Used(TEST)),
        ("run-1", Used(TEST, teardown=True)),
        ("run-2", Used(TEST, teardown=True)),
        (None, RunsCounted(TEST, 5, 3)),
    )
    [case] = cases.reports(told)
    assert case.instances == ("run-0", "run-1"), "in a teardown, fixtures of other tests end too"
    assert (case.runs, case.passed) == (5, 3)


def test_what_an_interrupt_ended_in_a_worker_has_not_crashed() -> None:
    cases = Cases()
    cases.saw(phase("???", "failed"))
    [case] = cases.reports(stories((None, Selected([TEST])), (None, CutShort(TEST))))
    assert case.outcome == "interrupted"
    [case] = cases.reports(MARKED)
    assert case.outcome == "failed"
    assert [it.nodeid for it in cases.crashed] == [TEST]


def test_a_test_without_a_report_was_interrupted() -> None:
    for told in (stories(("run-0", Used(TEST))), stories((None, CutShort(TEST)))):
        [case] = Cases().reports(told)
        assert (case.id, case.outcome, case.seconds) == (TEST, "interrupted", 0.0)
    assert Cases().reports(MARKED) == [], "it has not begun"
