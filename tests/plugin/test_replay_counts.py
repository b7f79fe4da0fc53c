"""A replay knows all that it will ever count: what can't be met fails at once, and says so."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest
from plugin_tools import QUICK, TOKEN, Project

from pytest_hydrasmoke.fake import FakeRouter, Scenario

RECORD = "--hydra-smoke-record=recordings"
REPLAY = "--hydra-smoke-scenario=recordings/"
NAME = "test_it.py::test_it"
FOREVER = 100_000
"""Seconds that no test waits for: what passes with such a time limit did not wait for it."""
AGAIN = f"pytest --hydra-smoke --hydra-smoke-record recordings {NAME}"
HELLO = """
def test_it(smoke_instance):
    turn = smoke_instance.chat("Hello")
    turn.expect_llm_events(at_least=1)
"""
TWICE = """
def test_it(smoke_instance):
    one = smoke_instance.chat("One")
    one.expect_llm_events(exactly=1)
    two = smoke_instance.chat("Two")
    two.expect_llm_events(exactly=1)
"""


def record(project: Project, suite: str, **scenario: Any) -> None:
    """Record a suite against a router that is a live one to it."""
    fields = {name: getattr(QUICK, name) for name in ("row_after", "statuses", "llm_events_lag")}
    given = {"providers": ("openai",), "llm_events_per_turn": 1, **fields, **scenario}
    project.write("test_it.py", suite)
    with FakeRouter(Scenario(**given), TOKEN) as router:
        result = project.at(router, usage_settle=0.15).live(RECORD, "test_it.py")
    assert result.ret == 0


def replay(project: Project, suite: str, **settings: object) -> pytest.RunResult:
    project.write("test_it.py", suite)
    return project.set(**{"llm_events_timeout": FOREVER, **settings}).fake(REPLAY, "test_it.py")


UNMET = [
    ("turn.expect_llm_events(at_least=1, providers={'anthropic'})", "1 (0 *, 1 now), from openai"),
    ("turn.expect_llm_events(at_least=2)", "1 (0 before the turn, 1 now), from openai"),
    ("turn.expect_llm_events(exactly=2, only={'openai'})", "1 (0 *, 1 now), from openai"),
    ("turn.expect_llm_events(exactly=0)", "1 (0 before the turn, 1 now), from openai"),
    ("smoke_instance.expect_llm_events(providers={'anthropic'})", "1 in the last 900 s, from *"),
    ("smoke_instance.expect_llm_events(at_least=2)", "1 in the last 900 s, from openai"),
]


@pytest.mark.parametrize(("wanted", "got"), UNMET)
def test_what_was_not_recorded_is_not_waited_for(project: Project, wanted: str, got: str) -> None:
    record(project, HELLO)
    result = replay(project, HELLO.replace("turn.expect_llm_events(at_least=1)", wanted))
    result.assert_outcomes(failed=1)
    step = (
        "*next step: expect what was recorded: a replay counts nothing else; "
        f"if the agent does otherwise now, record it again: {AGAIN}"
    )
    result.stdout.fnmatch_lines([f"*got: *{got}, as recorded", step])
    result.stdout.no_fnmatch_line("*HYDRA_SMOKE_LLM_EVENTS_TIMEOUT*")
    result.stdout.no_fnmatch_line("*agent's log*")


def test_an_earlier_turn_is_not_waited_for(project: Project) -> None:
    record(project, TWICE)
    wanted = "one.expect_llm_events(providers={'anthropic'})"
    before = replay(project, TWICE.replace("one.expect_llm_events(exactly=1)", wanted))
    before.stdout.fnmatch_lines(["*got: *1 (0 before the turn, 1 now), from openai, as recorded"])
    after = replay(project, TWICE + f"    {wanted}\n")
    after.assert_outcomes(failed=1)
    after.stdout.fnmatch_lines(
        ["*got: *1 (0 *, 1 at the next turn), from openai, as recorded", f"*again: {AGAIN}"]
    )


def test_the_next_turn_begins_once_all_that_was_recorded_has_come(project: Project) -> None:
    record(project, TWICE)
    assert replay(project, TWICE, usage_settle=FOREVER).ret == 0


THREAD = """
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pytest_hydrasmoke._transport.blocking import SyncIO

def test_it(smoke_instance, monkeypatch):
    waits, sleep = threading.Event(), SyncIO.sleep

    def noted(io, seconds):
        waits.set()
        return sleep(io, seconds)

    smoke_instance.chat("One").expect_llm_events()
    monkeypatch.setattr(SyncIO, "sleep", noted)
    with ThreadPoolExecutor() as pool:
        both = pool.submit(smoke_instance.expect_llm_events, at_least=2)
        assert waits.wait(30)
        smoke_instance.chat("Two").expect_llm_events()
        assert both.result().count == 2
"""


def test_an_instances_later_turns_may_add_what_is_missing(project: Project) -> None:
    record(project, TWICE)
    assert replay(project, THREAD).ret == 0
    early = """
        def test_it(smoke_instance):
            smoke_instance.chat("One")
            smoke_instance.expect_llm_events(at_least=2)
    """
    result = replay(project, dedent(early), llm_events_timeout=0.3)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*got: *1 in the last 900 s, from openai, as recorded"])
