"""Hermes Agent's run events and session events; its chunks are OpenAI's."""

from __future__ import annotations

import pytest
from runtimes_tools import Said, body, known, of, read

from pytest_hydrasmoke._runtimes.meaning import Meaning

RUN_END = """\
data: {"event":"run.completed","run_id":"r1","output":"Hello, world","usage":{"input_tokens":9}}

: stream closed

"""
SESSION_END = """\
event: run.completed
data: {"completed":true,"messages":[{"role":"assistant","content":"Hello, world"}],"usage":{}}

event: done
data: {"session_id":"s1"}

"""


def test_a_run() -> None:
    assert read(body("hermes-run")) == Said()
    assert read(body("hermes-run") + RUN_END) == Said(ends=1)


def test_a_session() -> None:
    assert read(body("hermes-session")) == Said()
    assert read(body("hermes-session") + SESSION_END) == Said(ends=2)


def test_what_repeats_the_reply_is_told_as_that() -> None:
    told = {"event": "run.completed", "output": "Hello"}
    assert known(told) == Meaning(end=True, whole="Hello", runtime="Hermes")
    told = {"content": "Hello", "completed": True}
    assert known(told, "assistant.completed") == Meaning(whole="Hello", runtime="Hermes")
    assert known({"content": 7}, "assistant.completed") == Meaning(runtime="Hermes")


@pytest.mark.parametrize(
    ("messages", "finish"),
    [
        (
            [{"finish_reason": "tool_calls"}, {"role": "tool"}, {"finish_reason": "length"}],
            "length",
        ),
        ([{"finish_reason": "stop"}, {"role": "tool"}], None),
        ([{"finish_reason": "stop"}, None], "stop"),
        ([], None),
        ({"finish_reason": "stop"}, None),
    ],
)
def test_the_messages_of_a_session_tell_why_the_model_stopped(
    messages: object, finish: str | None
) -> None:
    told = Meaning(end=True, finish=finish, runtime="Hermes")
    assert known({"completed": True, "messages": messages}, "run.completed") == told


@pytest.mark.parametrize("name", ["message", "run.failed"])
def test_a_failed_run(name: str) -> None:
    told = {"event": "run.failed", "run_id": "r1", "error": "HTTP 401: no credit"}
    assert known(told, name) == Meaning(error="HTTP 401: no credit", runtime="Hermes")
    silent = "the agent reports an error, and no message with it"
    assert known({"event": "run.failed", "run_id": "r1"}, name).error == silent


def test_a_cancelled_run() -> None:
    assert known({"event": "run.cancelled", "run_id": "r1"}).error == "the run was cancelled"


@pytest.mark.parametrize("kind", ["run.started", "tool.started", "reasoning.available"])
def test_any_event_of_a_run_says_that_its_end_will_be_told(kind: str) -> None:
    said = Meaning(begins=kind == "run.started", runtime="Hermes")
    assert known({"event": kind, "run_id": "r1", "text": "x"}) == said


def test_a_session_that_fails_ends_all_the_same() -> None:
    failure = 'event: error\ndata: {"message":"no credit"}\n\nevent: done\ndata: {}\n\n'
    said = read(body("hermes-session") + failure)
    assert said == Said(errors=("no credit",), ends=1)


def test_an_unknown_event_is_no_text() -> None:
    for word in ("subagent.progress", "message.edited", "unheard_of"):
        assert of({"event": word, "text": "x", "delta": "x", "message": "x"}) == Meaning()


@pytest.mark.parametrize("delta", [None, 7, ["x"], {"text": "x"}])
def test_a_delta_is_a_text(delta: object) -> None:
    nothing = Meaning(runtime="Hermes")
    assert known({"event": "message.delta", "delta": delta}) == nothing
    assert known({"delta": delta}, "assistant.delta") == nothing


def test_the_name_of_an_event_alone_is_not_enough() -> None:
    # Data that isn't an object is not Hermes'.
    assert known("x", "run.completed") == Meaning()
