"""A replay knows all that it will ever count: what can't be met fails at once, and says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest
from plugin_tools import QUICK, TOKEN, Project

from pytest_hydrasmoke.fake import FakeRouter, Scenario

RECORD = "--hydra-smoke-record=recordings"
REPLAY = "--hydra-smoke-scenario=recordings/"
FOREVER = 100_000
"""Seconds that no test waits for: what passes with such a time limit did not wait for it."""
AGAIN = "pytest --hydra-smoke --hydra-smoke-record recordings test_it.py::"
IMPORTS = """
import threading
from concurrent.futures import ThreadPoolExecutor
import pytest
from pytest_hydrasmoke._transport.blocking import SyncIO
"""


def record(project: Project, suite: str, **scenario: Any) -> None:
    """Record a suite against a router that is a live one to it, and counts three a turn.

    An exact number is looked at twice, 2 s apart: a replay need not, and here it need not either.
    """
    write(project, suite.replace("exactly", "at_least"))
    fields = {name: getattr(QUICK, name) for name in ("row_after", "statuses", "llm_events_lag")}
    given = {"providers": ("openai",), "llm_events_per_turn": 3, **fields, **scenario}
    with FakeRouter(Scenario(**given), TOKEN) as router:
        result = project.at(router).live(RECORD, "test_it.py")
    assert result.ret == 0
    write(project, suite)


def write(project: Project, suite: str) -> None:
    project.write("test_it.py", IMPORTS + dedent(suite))


def counted(project: Project, test: str) -> list[Any]:
    turns = json.loads((project.path / f"recordings/test_it/{test}.json").read_text())["turns"]
    return [turn["llm_events"] and turn["llm_events"]["count"] for turn in turns]


def named(start: str, cases: Any) -> dict[str, Any]:
    return {f"test_{start}_{number}": case for number, case in enumerate(cases)}


def suite_of(bodies: dict[str, str]) -> str:
    """Write a suite of tests with these bodies; each has an instance for itself."""
    return "".join(
        f"\ndef {name}(smoke_instance):\n{indent(dedent(body).strip(), '    ')}\n"
        for name, body in bodies.items()
    )


HELLO = 'turn = smoke_instance.chat("Hello")\n'
HELLO_COUNTED = f"{HELLO}turn.expect_llm_events(at_least=1)\n"
TWICE = """
    one = smoke_instance.chat("One")
    one.expect_llm_events(exactly=3)
    two = smoke_instance.chat("Two")
    two.expect_llm_events(exactly=3)
"""
# What is wanted of a turn that was counted, and what is told instead.
UNMET = named(
    "unmet",
    [
        ("turn.expect_llm_events(at_least=1, providers={'anthropic'})", "3 (0 *, 3 now), from"),
        ("turn.expect_llm_events(at_least=4)", "3 (0 before the turn, 3 now), from"),
        ("turn.expect_llm_events(exactly=4, only={'openai'})", "3 (0 *, 3 now), from"),
        ("turn.expect_llm_events(exactly=0)", "3 (0 before the turn, 3 now), from"),
        ("smoke_instance.expect_llm_events(providers={'anthropic'})", "3 in the last 900 s, from"),
        ("smoke_instance.expect_llm_events(at_least=4)", "3 in the last 900 s, from"),
    ],
)
EARLIER = "one.expect_llm_events(providers={'anthropic'})\n"
EARLIER_UNMET = {
    "test_earlier_before": (
        TWICE.replace("one.expect_llm_events(exactly=3)\n", EARLIER),
        "3 (0 before the turn, 3 now), from",
    ),
    "test_earlier_after": (dedent(TWICE) + EARLIER, "3 (0 *, 3 at the next turn), from"),
}
# A turn that nobody counted meets no expectation, not even that there was nothing.
UNCOUNTED = named(
    "uncounted",
    [
        "turn.expect_llm_events(at_least=1, at_most=1, providers={'anthropic'})",
        "turn.expect_llm_events(exactly=0)",
        "smoke_instance.expect_llm_events(at_least=1, at_most=1)",
        "smoke_instance.expect_llm_events(exactly=0)",
        "assert smoke_instance.llm_events().count == 0",
    ],
)
THREAD = """
    monkeypatch = pytest.MonkeyPatch()
    waits, sleep = threading.Event(), SyncIO.sleep

    def noted(io, seconds):
        waits.set()
        return sleep(io, seconds)

    smoke_instance.chat("One").expect_llm_events()
    with monkeypatch.context() as patch, ThreadPoolExecutor() as pool:
        patch.setattr(SyncIO, "sleep", noted)
        both = pool.submit(smoke_instance.expect_llm_events, at_least=6)
        assert waits.wait(30)
        smoke_instance.chat("Two").expect_llm_events()
        assert both.result().count == 6
"""
LATER = """
    one = smoke_instance.chat("One")
    two = smoke_instance.chat("Two")
"""
BEFORE = {
    **dict.fromkeys(UNMET, HELLO_COUNTED),
    **dict.fromkeys(UNCOUNTED, HELLO),
    **dict.fromkeys([*EARLIER_UNMET, "test_twice", "test_thread"], TWICE),
    "test_next_turn": LATER,
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the recordings are kept, once there are any."""
    return tmp_path_factory.mktemp("kept") / "recordings"


@pytest.fixture
def recorded(project: Project, kept: Path) -> Project:
    """A project whose tests were recorded, each with an instance for itself."""
    project.set(scope="function", usage_settle=1, max_instances=40)
    if kept.exists():
        write(project, suite_of(BEFORE))
        shutil.copytree(kept, project.path / "recordings")
    else:
        record(project, suite_of(BEFORE))
        shutil.copytree(project.path / "recordings", kept)
    return project.set(llm_events_timeout=FOREVER, usage_settle=FOREVER)


def test_what_was_not_recorded_is_not_waited_for(recorded: Project) -> None:
    unmet = {name: HELLO + wanted for name, (wanted, _) in UNMET.items()}
    earlier = {name: body for name, (body, _) in EARLIER_UNMET.items()}
    # What the next turn shows is recorded, too.
    assert counted(recorded, "test_next_turn") == [3, None]
    passes = {
        "test_twice": TWICE,
        "test_thread": THREAD,
        "test_next_turn": dedent(LATER) + "one.expect_llm_events(exactly=3, only={'openai'})",
    }
    write(recorded, suite_of({**unmet, **earlier, **passes}))
    result = recorded.fake(REPLAY, "test_it.py")
    result.assert_outcomes(failed=len(unmet) + len(earlier), passed=len(passes))
    step = (
        "*next step: expect what was recorded: a replay counts nothing else; "
        f"if the agent does otherwise now, record it again: {AGAIN}"
    )
    result.stdout.fnmatch_lines(
        [
            line
            for name, (_, got) in {**UNMET, **EARLIER_UNMET}.items()
            for line in (f"*_ {name} _*", f"*got: *{got} openai, as recorded", f"{step}{name}")
        ]
    )
    result.stdout.no_fnmatch_line("*HYDRA_SMOKE_LLM_EVENTS_TIMEOUT*")
    result.stdout.no_fnmatch_line("*agent's log*")


def test_events_that_nobody_counted_meet_no_expectation(recorded: Project) -> None:
    suite = suite_of({name: HELLO + wanted for name, wanted in UNCOUNTED.items()})
    write(recorded, suite)
    result = recorded.fake(REPLAY, "test_it.py")
    result.assert_outcomes(failed=len(UNCOUNTED))
    words = (
        "*the LLM events of 'Hello', recorded for test_it.py::{0}, were not counted then; "
        "to record them, expect them after it (turn.expect_llm_events), and run: {1}{0}"
    )
    step = "*next step:*run the command in the message above; a test that it names must expect*"
    result.stdout.fnmatch_lines(
        [line for name in UNCOUNTED for line in (f"*_ {name} _*", words.format(name, AGAIN), step)]
    )
    result.stdout.no_fnmatch_line("*HYDRA_SMOKE_LLM_EVENTS_TIMEOUT*")
    # What it names helps: the tests fail live, as they have to.
    with FakeRouter(Scenario(llm_events_per_turn=3, llm_events_lag=0), TOKEN) as router:
        live = recorded.at(router, llm_events_timeout=1, usage_settle=0.5)
        live.live(RECORD, "test_it.py").assert_outcomes(failed=len(UNCOUNTED))


def test_an_instances_later_turns_may_add_what_is_missing(recorded: Project) -> None:
    body = 'smoke_instance.chat("One")\nsmoke_instance.expect_llm_events(at_least=6)'
    write(recorded, suite_of({"test_twice": body}))
    result = recorded.set(llm_events_timeout=0.3).fake(REPLAY, "test_it.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*got: *3 in the last 900 s, from openai, as recorded"])


def test_a_hook_that_is_wrong_is_what_to_correct(recorded: Project) -> None:
    recorded.write(
        "conftest.py",
        "def pytest_hydra_smoke_record(turn):\n"
        "    return 7 if turn.message == 'Hello' else {}[turn.text]\n",
    )
    result = recorded.fake(REPLAY, "test_it.py", "-k", "uncounted_0 or next_turn")
    result.assert_outcomes(failed=2, deselected=len(BEFORE) - 2)
    correct = "correct this hook: in a replay, it gets each message, with an empty text"
    step = "*next step: in a replay, do what the message above says; else *"
    result.stdout.fnmatch_lines(
        [
            line
            for problem in (
                "returned 7: return the turn, with *",
                "failed at conftest.py:2: KeyError('')",
            )
            for line in (f"*pytest_hydra_smoke_record {problem}; {correct}*", step)
        ]
    )
    result.stdout.no_fnmatch_line("*command*")


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


def test_events_that_somebody_counted_are_replayed(project: Project) -> None:
    record(project, COUNTED)
    assert counted(project, "test_of_a_turn") == [3]
    assert counted(project, "test_before_it[0]") == [None]
    assert counted(project, "test_of_an_instance") == [3, 3]
    assert counted(project, "test_by_hand") == [3]
    assert counted(project, "test_after_it") == [3, 3, None]
    # In another order, too, where an uncounted turn comes before each of the counted.
    order = [f"test_it.py::test_{name}" for name in ("before_it", "after_it", "of_a_turn")]
    project.fake(REPLAY, *order).assert_outcomes(passed=6)
    project.fake(REPLAY, "--hydra-smoke-report=always", "test_it.py").assert_outcomes(passed=8)
    asked = [it for one in project.report()["instances"] for it in one["exchanges"]]
    assert {it["status"] for it in asked if it["call"] == "llm_events"} == {200}
    assert all(it["attempt"] == 1 for it in asked)


def test_what_the_next_turn_does_not_show_surely_is_not_recorded(project: Project) -> None:
    body = f"{dedent(LATER)}smoke_instance.expect_llm_events(at_least=1)"
    project.set(scope="function", usage_settle=0)
    record(project, suite_of({"test_it": body}), llm_events_lag=0.05, llm_events_per_turn=1)
    assert counted(project, "test_it") == [None, None]
    result = project.fake(REPLAY, "test_it.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the LLM events of 'Two', recorded for *"])
