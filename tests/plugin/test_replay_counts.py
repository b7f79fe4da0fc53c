"""A replay knows all that it will ever count: what can't be met fails at once, and says so."""

from __future__ import annotations

from textwrap import indent

from plugin_tools import Project
from recording_tools import says, write

FOREVER = 100_000
"""Seconds that no test waits for: what passes with such a time limit did not wait for it."""
IMPORTS = """
import threading
from concurrent.futures import ThreadPoolExecutor
import pytest
from pytest_hydrasmoke._transport.blocking import SyncIO

@pytest.fixture
def slept(monkeypatch):
    slept, sleep = [], SyncIO.sleep

    def noted(io, seconds):
        slept.append(seconds)
        return sleep(io, seconds)

    monkeypatch.setattr(SyncIO, "sleep", noted)
    return slept

def until(what):
    while not what:
        threading.Event().wait(0.01)
"""
HOOK = """
def pytest_hydra_smoke_record(turn):
    return 7 if turn.message == "Odd" else {}[turn.text] if turn.message == "Odder" else turn
"""
COUNTED = {"count": 3, "providers": ["openai"], "after": 0.8}
ONE = says("Hello", "hi", llm_events=COUNTED)
ALONE = [says("Hello", "hi")]
TWICE = [says("One", "1", llm_events=COUNTED), says("Two", "2", llm_events=COUNTED)]
HELLO = "turn = smoke_instance.chat('Hello')"
NOW = "3 (0 before the turn, 3 now), from"
LAST = "3 in the last 900 s, from"
# What is wanted of turns that were counted, and what is told instead.
UNMET = {
    f"{HELLO}\nturn.expect_llm_events(at_least=1, providers={{'anthropic'}})": (NOW, [ONE]),
    f"{HELLO}\nturn.expect_llm_events(at_least=4)": (NOW, [ONE]),
    f"{HELLO}\nturn.expect_llm_events(exactly=4, only={{'openai'}})": (NOW, [ONE]),
    f"{HELLO}\nturn.expect_llm_events(exactly=0)": (NOW, [ONE]),
    f"{HELLO}\nsmoke_instance.expect_llm_events(providers={{'anthropic'}})": (LAST, [ONE]),
    f"{HELLO}\nsmoke_instance.expect_llm_events(at_least=4)": (LAST, [ONE]),
    # An instance's later turns may add what is missing.
    "smoke_instance.chat('One')\nsmoke_instance.expect_llm_events(at_least=6, timeout=0.3)": (
        *(LAST, TWICE),
    ),
    "one = smoke_instance.chat('One')\none.expect_llm_events(providers={'anthropic'})\n"
    "smoke_instance.chat('Two')": (NOW, TWICE),
    "one = smoke_instance.chat('One')\nsmoke_instance.chat('Two').expect_llm_events(exactly=3)\n"
    "one.expect_llm_events(providers={'anthropic'})": (
        "3 (0 before the turn, 3 at the next turn), from",
        TWICE,
    ),
}
# A turn that nobody counted meets no expectation, not even that there was nothing.
UNCOUNTED = [
    "turn.expect_llm_events(at_least=1, at_most=1, providers={'anthropic'})",
    "turn.expect_llm_events(exactly=0)",
    "smoke_instance.expect_llm_events(at_least=1, at_most=1)",
    "smoke_instance.expect_llm_events(exactly=0)",
    "assert smoke_instance.llm_events().count == 0",
]
HOOKS = {
    "smoke_instance.chat('Odd')": "returned 7: return the turn, with *",
    "smoke_instance.chat('Odder')": "failed at conftest.py:3: KeyError('')",
}
PASSES = {
    "one = smoke_instance.chat('One')\none.expect_llm_events(exactly=3)\n"
    "two = smoke_instance.chat('Two')\ntwo.expect_llm_events(exactly=3)\n"
    "assert slept == []": TWICE,
    "one = smoke_instance.chat('One')\nsmoke_instance.chat('Two')\n"
    "one.expect_llm_events(exactly=3, only={'openai'})\nassert slept == []": [
        *(TWICE[0], says("Two", "2")),
    ],
    # A wait sees what another thread asks meanwhile.
    "smoke_instance.chat('One').expect_llm_events()\n"
    "with ThreadPoolExecutor() as pool:\n"
    "    both = pool.submit(smoke_instance.expect_llm_events, at_least=6)\n"
    "    until(slept)\n"
    "    smoke_instance.chat('Two').expect_llm_events()\n"
    "    assert both.result().count == 6": TWICE,
    # Nobody knows when the router notices that its reader has left.
    "with smoke_instance.stream_chat('Hello') as stream:\n    next(stream)\n"
    "smoke_instance.expect_llm_events(exactly=3)\n"
    "assert all(seconds < 1 for seconds in slept)": [{**ONE, "end": "left"}],
}


def test_what_was_not_recorded_is_not_waited_for(project: Project) -> None:
    folder, text, lines = project.path / "recordings", IMPORTS, list[str]()
    again = "pytest --hydra-smoke --hydra-smoke-record recordings test_it.py::"
    step = (
        "*next step: expect what was recorded: a replay counts nothing else; "
        f"if the agent does otherwise now, record it again: {again}"
    )
    words = (
        "*the LLM events of 'Hello', recorded for test_it.py::{0}, were not counted then; "
        "to record them, expect them after it (turn.expect_llm_events), and run: {1}{0}"
    )
    told = "*next step:*run the command in the message above; a test that it names must expect*"
    correct = "correct this hook: in a replay, it gets each message, with an empty text"
    for number, (body, (got, turns)) in enumerate(UNMET.items()):
        name = f"test_unmet_{number}"
        text += function(name, body)
        write(folder, f"test_it.py::{name}", *turns)
        lines += [f"*_ {name} _*", f"*got: *{got} openai, as recorded", f"{step}{name}"]
    for number, wanted in enumerate(UNCOUNTED):
        name = f"test_uncounted_{number}"
        text += function(name, f"{HELLO}\n{wanted}")
        write(folder, f"test_it.py::{name}", *ALONE)
        lines += [f"*_ {name} _*", words.format(name, again), told]
    for number, (body, problem) in enumerate(HOOKS.items()):
        text += function(f"test_hook_{number}", body)
        lines += [f"*pytest_hydra_smoke_record {problem}; {correct}*"]
        lines += ["*next step: see the router's log; in a replay, do what *"]
    for number, (body, turns) in enumerate(PASSES.items()):
        text += function(f"test_passes_{number}", body)
        write(folder, f"test_it.py::test_passes_{number}", *turns)
    project.write("test_it.py", text)
    project.write("conftest.py", HOOK)
    project.set(scope="function", max_instances=40)
    project.set(llm_events_timeout=FOREVER, usage_settle=FOREVER)
    result = project.fake("--hydra-smoke-scenario=recordings/", "test_it.py").says(*lines)
    failed = len(UNMET) + len(UNCOUNTED) + len(HOOKS)
    result.assert_outcomes(failed=failed, passed=len(PASSES))
    result.stdout.no_fnmatch_line("*HYDRA_SMOKE_LLM_EVENTS_TIMEOUT*")
    result.stdout.no_fnmatch_line("*agent's log*")
    # Each request is answered at once.
    asked = [it for one in project.report()["instances"] for it in one["exchanges"]]
    assert all(it["attempt"] == 1 for it in asked)


def function(name: str, body: str) -> str:
    """Write a test with an instance for itself."""
    return f"\ndef {name}(smoke_instance, slept):\n{indent(body, '    ')}\n"
