"""A replay passes no expectation of LLM events that its recordings don't know."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import pytest
from plugin_tools import QUICK, TOKEN, Project

from pytest_hydrasmoke.fake import FakeRouter, Scenario

RECORD = "--hydra-smoke-record=recordings"
REPLAY = "--hydra-smoke-scenario=recordings/"


@pytest.fixture
def project_of(project: Project) -> Any:
    """A project with a suite, and the ways to record it live and to replay it."""

    def write(suite: str) -> Project:
        project.write("test_it.py", "import pytest\n" + dedent(suite))
        return project

    return write


def record(project: Project, **scenario: Any) -> pytest.RunResult:
    fields = {name: getattr(QUICK, name) for name in ("row_after", "statuses", "llm_events_lag")}
    with FakeRouter(Scenario(**{**fields, **scenario}), TOKEN) as router:
        result = project.at(router).live(RECORD, "test_it.py")
    assert result.ret == 0
    return result


def replay(project: Project, *arguments: str) -> pytest.RunResult:
    return project.fake(REPLAY, *arguments, "test_it.py")


def counted(project: Project, test: str) -> list[Any]:
    turns = json.loads((project.path / f"recordings/test_it/{test}.json").read_text())["turns"]
    return [turn["llm_events"] and turn["llm_events"]["count"] for turn in turns]


THREE: dict[str, Any] = {"llm_events_per_turn": 3, "providers": ("openai",)}
COMMAND = f"pytest --hydra-smoke {RECORD.replace('=', ' ')} test_it.py::"

UNCOUNTED = """
    def test_it(smoke_instance):
        turn = smoke_instance.chat("Hello")
"""


@pytest.mark.parametrize(
    "wanted",
    [
        "turn.expect_llm_events(at_least=1, at_most=1, providers={'anthropic'})",
        "turn.expect_llm_events(exactly=0)",
        "smoke_instance.expect_llm_events(at_least=1, at_most=1)",
        "smoke_instance.expect_llm_events(exactly=0)",
        "assert smoke_instance.llm_events().count == 0",
    ],
)
def test_events_that_nobody_counted_meet_no_expectation(project_of: Any, wanted: str) -> None:
    project = project_of(UNCOUNTED)
    record(project, **THREE)
    project_of(UNCOUNTED + f"        {wanted}\n")
    result = replay(project)
    result.assert_outcomes(failed=1)
    words = (
        "*the LLM events of 'Hello', recorded for test_it.py::test_it, were not counted then; "
        "to record them, expect them after it (turn.expect_llm_events), and run: "
        f"{COMMAND}test_it"
    )
    result.stdout.fnmatch_lines(
        [
            words,
            "*next step:*run the command in the message above; a test that it names must expect*",
        ]
    )
    result.stdout.no_fnmatch_line("*HYDRA_SMOKE_LLM_EVENTS_TIMEOUT*")
    # What it names helps: the test fails live, as it has to.
    with FakeRouter(Scenario(**THREE, llm_events_lag=0), TOKEN) as router:
        project.at(router, llm_events_timeout=1).live(RECORD, "test_it.py").assert_outcomes(
            failed=1
        )


COUNTED = """
    def test_of_a_turn(smoke_instance):
        smoke_instance.chat("Hello").expect_llm_events(exactly=3, only={"openai"})

    @pytest.mark.parametrize("number", range(4))
    def test_before_it(smoke_instance, number):
        smoke_instance.chat("Nobody counts")

    def test_of_an_instance(smoke_instance_factory):
        with smoke_instance_factory() as instance:
            instance.chat("One")
            instance.chat("Two")
            instance.expect_llm_events(exactly=6, only={"openai"})

    def test_by_hand(smoke_instance_factory):
        with smoke_instance_factory() as instance:
            instance.chat("One")
            assert instance.llm_events().count == 3

    def test_after_it(smoke_instance):
        one = smoke_instance.chat("One")
        smoke_instance.chat("Two").expect_llm_events(exactly=3)
        one.expect_llm_events(exactly=3)
        smoke_instance.chat("Three")
"""


def test_events_that_somebody_counted_are_replayed(project_of: Any) -> None:
    project = project_of(COUNTED)
    record(project, **THREE)
    assert counted(project, "test_of_a_turn") == [3]
    assert counted(project, "test_before_it[0]") == [None]
    assert counted(project, "test_of_an_instance") == [3, 3]
    assert counted(project, "test_by_hand") == [3]
    assert counted(project, "test_after_it") == [3, 3, None]
    # In another order, too, where an uncounted turn comes before each of the counted.
    tests = [f"test_it.py::test_{name}" for name in ("before_it", "after_it", "of_a_turn")]
    project.fake(REPLAY, *tests).assert_outcomes(passed=6)
    result = replay(project, "--hydra-smoke-report=always")
    result.assert_outcomes(passed=8)
    report = json.loads((project.path / ".hydrasmoke/report.json").read_text("utf-8"))
    asked = [it for instance in report["instances"] for it in instance["exchanges"]]
    assert {it["status"] for it in asked if it["call"] == "llm_events"} == {200}
    assert all(it["attempt"] == 1 for it in asked)


def test_what_the_next_turn_shows_is_recorded(project_of: Any) -> None:
    project = project_of(
        """
        def test_it(smoke_instance):
            one = smoke_instance.chat("One")
            two = smoke_instance.chat("Two")
        """
    )
    record(project, **THREE)
    assert counted(project, "test_it") == [3, None]
    path = project.path / "test_it.py"
    path.write_text(path.read_text() + "    one.expect_llm_events(exactly=3, only={'openai'})\n")
    replay(project).assert_outcomes(passed=1)


def test_what_the_next_turn_does_not_show_surely_is_not_recorded(project_of: Any) -> None:
    project = project_of(
        """
        def test_it(smoke_instance_factory):
            with smoke_instance_factory() as instance:
                instance.chat("One")
                instance.chat("Two")
                instance.expect_llm_events(at_least=1)
        """
    ).set(usage_settle=0)
    record(project, llm_events_lag=0.05)
    assert counted(project, "test_it") == [None, None]
    result = replay(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the LLM events of 'Two', recorded for *"])


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return {}[turn.text]", "failed: KeyError('')"),
        ("return 7", "returned 7: return the turn, with *"),
    ],
)
def test_a_hook_that_is_wrong_is_what_to_correct(project_of: Any, body: str, problem: str) -> None:
    project = project_of(UNCOUNTED)
    record(project)
    project.write("conftest.py", f"def pytest_hydra_smoke_record(turn):\n    {body}\n")
    result = replay(project)
    result.assert_outcomes(failed=1)
    correct = "correct this hook: in a replay, it gets each message, with an empty text"
    result.stdout.fnmatch_lines(
        [
            f"*pytest_hydra_smoke_record {problem}; {correct}*",
            "*next step: in a replay, do what the message above says; else *",
        ]
    )
    result.stdout.no_fnmatch_line("*command*")
