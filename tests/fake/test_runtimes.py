"""What each runtime's stream consists of, as it is read by a few lines a runtime, and none of ours.

Nothing here opens a socket: a turn's bytes are made of a scenario and of what is said.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from typing import Any, get_args

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent

from pytest_hydrasmoke.fake import Scenario
from pytest_hydrasmoke.fake.replies import Reply
from pytest_hydrasmoke.fake.runtimes.frames import Said
from pytest_hydrasmoke.fake.scenario import Runtime
from pytest_hydrasmoke.fake.sse_events import turn

RUNTIMES = get_args(Runtime)
OCTOPUS = "I am ready, señor 🐙: «да»."
ARGUMENTS = {"city": "Oslo", "days": [1, 2]}
TOLD = {"temperature": -3}
SCRIPTED = {
    "match": "",
    "text": "It is cold.",
    "reasoning": "Let me look.",
    "tool_calls": [
        {"name": "look", "arguments": ARGUMENTS, "result": TOLD},
        {"name": "wait", "result": "waited"},
    ],
}


def events_of(body: bytes) -> list[ServerSentEvent]:
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    return list(EventSource(answer).iter_sse())


def scripted(runtime: Any) -> list[dict[str, Any]]:
    """The objects of a turn with tools and reasoning, a named one's name as `_name`."""
    told = turn(Scenario(runtime=runtime), Reply(**SCRIPTED).said("How is it?", 0))
    return objects(b"".join((*told.spoken, *told.closing)))


def objects(body: bytes) -> list[dict[str, Any]]:
    events = [event for event in events_of(body) if event.data != "[DONE]"]
    return [{"_name": event.event, **json.loads(event.data)} for event in events]


def of(kind: str, found: list[dict[str, Any]], key: str = "type") -> list[dict[str, Any]]:
    return [it for it in found if it.get(key) == kind]


def joined(key: str, found: list[dict[str, Any]]) -> str:
    return "".join(it.get(key) or "" for it in found)


# Text, in every way to send it


def _openai(event: ServerSentEvent) -> str:
    choices = event.json().get("choices")
    return choices[0]["delta"].get("content", "") if choices else ""


def _typed(kind: str, key: str = "delta", of: str = "type") -> Callable[[ServerSentEvent], str]:
    def text(event: ServerSentEvent) -> str:
        return event.json().get(key, "") if event.json().get(of) == kind else ""

    return text


def _named(name: str, key: str | None = None) -> Callable[[ServerSentEvent], str]:
    def text(event: ServerSentEvent) -> str:
        if event.event != name:
            return ""
        return event.json()[key] if key else event.data

    return text


TEXTS: dict[str, Callable[[ServerSentEvent], str]] = {
    "openai": _openai,
    "hermes": _openai,
    "hermes-run": _typed("message.delta", of="event"),
    "hermes-session": _named("assistant.delta", "delta"),
    "responses": _typed("response.output_text.delta"),
    "anthropic": lambda event: event.json().get("delta", {}).get("text", ""),
    "goose": lambda event: (
        event.json().get("message", {"content": [{}]})["content"][0].get("text", "")
    ),
    "ag-ui": _typed("TEXT_MESSAGE_CONTENT"),
    "ai-sdk": _typed("text-delta"),
    "objects": _typed("token", "content"),
    "named": _named("token"),
    "text": lambda event: event.data,
}
DONE = ("message", "[DONE]")
ENDS = {
    "openai": DONE,
    "hermes": DONE,
    "hermes-run": '"run.completed"',
    "hermes-session": ("done", '{"session_id":"session_smoke","run_id":"run_smoke"}'),
    "responses": '"response.completed"',
    "anthropic": ("message_stop", '{"type":"message_stop"}'),
    "goose": '"Finish"',
    "ag-ui": '"RUN_FINISHED"',
    "ai-sdk": DONE,
    "objects": ("message", '{"type":"done"}'),
    "named": ("done", "{}"),
    "text": DONE,
}


def is_end(runtime: str, event: ServerSentEvent) -> bool:
    end = ENDS[runtime]
    return end in event.data if isinstance(end, str) else (event.event, event.data) == end


@pytest.mark.parametrize("line_end", ["lf", "crlf", "cr"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_reply_is_whole_and_ends_as_its_runtime_does(runtime: Any, line_end: Any) -> None:
    ways = itertools.product([True, False], [True, False], ["Ready.", OCTOPUS, "two\nlines", ""])
    for terminal, keep_alive, reply in ways:
        scenario = Scenario(
            runtime=runtime, line_end=line_end, terminal=terminal, keep_alive=keep_alive
        )
        made = turn(scenario, Said("Are you ready?", reply))
        body = b"".join((*made.spoken, *made.closing))
        ends = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}
        assert set(re.findall(rb"\r\n|\r|\n", body)) <= {ends[line_end]}
        events = events_of(body)
        assert len(events) == len(made.spoken) + len(made.closing)
        assert body.count(b": keep-alive") == (len(events) if keep_alive else 0)
        assert [is_end(runtime, it) for it in events].count(True) == terminal
        if terminal:
            assert is_end(runtime, events[-1])
        said = (event for event in events if event.data != "[DONE]")
        assert "".join(map(TEXTS[runtime], said)) == reply


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_agent_fails_in_its_own_words_and_goes_on_for_ever(runtime: Any) -> None:
    made = turn(Scenario(runtime=runtime), Said("hello", "Ready."))
    [failure, *rest] = events_of(made.error)
    assert "the agent has failed" in failure.data
    assert all(is_end(runtime, event) for event in rest)
    [more] = events_of(made.more)
    assert TEXTS[runtime](more) == " again"


# Tools, reasoning and usage, a runtime at a time


def test_openai_chat() -> None:
    chunks = scripted("openai")
    deltas = [it["choices"][0]["delta"] for it in chunks if it["choices"]]
    assert joined("reasoning_content", deltas) == "Let me look."
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert [(it["index"], it["id"], it["function"]["name"]) for it in calls if "id" in it] == [
        (0, "call_1", "look"),
        (1, "call_2", "wait"),
    ]
    pieces = [it["function"]["arguments"] for it in calls if it["index"] == 0]
    assert len(pieces) > 5
    assert json.loads("".join(pieces)) == ARGUMENTS
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    usage = chunks[-1]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (4, 20)


def test_hermes_chat() -> None:
    told = scripted("hermes")
    tools = of("hermes.tool.progress", told, "_name")
    assert [(it["tool"], it["label"], it["toolCallId"], it["status"]) for it in tools] == [
        ("look", "Oslo", "call_1", "running"),
        ("look", "Oslo", "call_1", "completed"),
        ("wait", "", "call_2", "running"),
        ("wait", "", "call_2", "completed"),
    ]
    assert told[-1]["choices"][0]["finish_reason"] == "stop"
    assert told[-1]["usage"]["completion_tokens"] == 20
    made = turn(Scenario(runtime="hermes"), Reply(**SCRIPTED).said("x", 0))
    assert b"".join(made.spoken).count(b"\n: keepalive\n\n") == 2
    [failure] = objects(made.error)
    assert failure["choices"][0]["finish_reason"] == "error"
    assert made.error.endswith(b"data: [DONE]\n\n")


def test_hermes_run() -> None:
    told = scripted("hermes-run")
    assert joined("text", of("reasoning.available", told, "event")) == "Let me look."
    started = of("tool.started", told, "event")
    assert [(it["tool"], it["preview"]) for it in started] == [("look", "Oslo"), ("wait", "")]
    assert [it["error"] for it in of("tool.completed", told, "event")] == [False, False]
    assert told[-1]["output"] == "It is cold."
    usage = told[-1]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (4, 20)
    made = turn(Scenario(runtime="hermes-run"), Said("x", "y"))
    assert made.closing[-1].endswith(b"\n\n: stream closed\n\n")


def test_hermes_session() -> None:
    told = scripted("hermes-session")
    assert joined("delta", of("reasoning.delta", told, "_name")) == "Let me look."
    started = of("tool.started", told, "_name")
    assert [(it["tool_name"], it["args"]) for it in started] == [("look", ARGUMENTS), ("wait", {})]
    assert [it["tool_name"] for it in of("tool.completed", told, "_name")] == ["look", "wait"]
    assert told[-3]["content"] == "It is cold."
    assert told[-2]["usage"]["output_tokens"] == 20
    assert told[-2]["messages"][-1]["finish_reason"] == "stop"


def test_openai_responses() -> None:
    told = scripted("responses")
    assert [it["sequence_number"] for it in told] == list(range(len(told)))
    assert all(it["_name"] == it["type"] for it in told)
    assert joined("delta", of("response.reasoning_summary_text.delta", told)) == "Let me look."
    done = [it["item"] for it in of("response.output_item.done", told)]
    kinds = ["function_call", "function_call_output"]
    assert [it["type"] for it in done] == ["reasoning", *kinds, *kinds, "message"]
    assert json.loads(done[1]["arguments"]) == ARGUMENTS
    assert json.loads(done[2]["output"]) == TOLD
    assert done[4]["output"] == "waited"
    pieces = [
        it["delta"]
        for it in of("response.function_call_arguments.delta", told)
        if it["item_id"] == done[1]["id"]
    ]
    assert json.loads("".join(pieces)) == ARGUMENTS
    response = told[-1]["response"]
    assert response["output"] == done
    assert response["usage"]["output_tokens"] == 20


def test_anthropic() -> None:
    told = scripted("anthropic")
    assert all(it["_name"] == it["type"] for it in told)
    blocks = [it["content_block"] for it in of("content_block_start", told)]
    assert [it["type"] for it in blocks] == ["thinking", "tool_use", "tool_use", "text"]
    assert [it["index"] for it in of("content_block_stop", told)] == [0, 1, 2, 3]
    deltas = [it["delta"] for it in of("content_block_delta", told) if it["index"] == 0]
    assert joined("thinking", deltas) == "Let me look."
    deltas = [it["delta"] for it in of("content_block_delta", told) if it["index"] == 1]
    assert json.loads(joined("partial_json", deltas)) == ARGUMENTS
    assert told[0]["message"]["usage"]["input_tokens"] == 4
    assert told[-2]["usage"]["output_tokens"] == 20


def test_goose() -> None:
    told = scripted("goose")
    messages = [it["message"] for it in of("Message", told)]
    contents = [it["content"][0] for it in messages]
    assert joined("thinking", contents) == "Let me look."
    asked = [it["toolCall"]["value"] for it in contents if it["type"] == "toolRequest"]
    assert [(it["name"], it["arguments"]) for it in asked] == [("look", ARGUMENTS), ("wait", {})]
    given = [it for it in messages if it["role"] == "user"]
    assert [it["content"][0]["id"] for it in given] == ["call_1", "call_2"]
    value = given[0]["content"][0]["toolResult"]["value"]
    assert json.loads(value["content"][0]["text"]) == TOLD
    assert told[-1]["token_state"] == {"inputTokens": 4, "outputTokens": 20, "totalTokens": 24}


def test_ag_ui() -> None:
    told = scripted("ag-ui")
    assert joined("delta", of("REASONING_MESSAGE_CONTENT", told)) == "Let me look."
    started = of("TOOL_CALL_START", told)
    assert [it["toolCallName"] for it in started] == ["look", "wait"]
    pieces = [it for it in of("TOOL_CALL_ARGS", told) if it["toolCallId"] == "call_1"]
    assert json.loads(joined("delta", pieces)) == ARGUMENTS
    results = [it["content"] for it in of("TOOL_CALL_RESULT", told)]
    assert (json.loads(results[0]), results[1]) == (TOLD, "waited")


def test_ai_sdk() -> None:
    told = scripted("ai-sdk")
    assert joined("delta", of("reasoning-delta", told)) == "Let me look."
    assert [it["toolName"] for it in of("tool-input-start", told)] == ["look", "wait"]
    pieces = [it for it in of("tool-input-delta", told) if it["toolCallId"] == "call_1"]
    assert json.loads(joined("inputTextDelta", pieces)) == ARGUMENTS
    assert [it["input"] for it in of("tool-input-available", told)] == [ARGUMENTS, {}]
    assert [it["output"] for it in of("tool-output-available", told)] == [TOLD, "waited"]
    assert len(of("start-step", told)) == len(of("finish-step", told)) == 2
    assert told[-1]["messageMetadata"]["usage"] == {"inputTokens": 4, "outputTokens": 20}


@pytest.mark.parametrize("runtime", ["objects", "named"])
def test_runtimes_of_no_name_tell_it_beside_the_reply(runtime: Any) -> None:
    made = turn(Scenario(runtime=runtime), Reply(**SCRIPTED).said("x", 0))
    told = [(event.event, event.data) for event in events_of(b"".join(made.spoken))]
    call = '{"id":"call_1","name":"look","arguments":{"city":"Oslo","days":[1,2]}}'
    if runtime == "named":
        assert ("thinking", '"Let"') in told
        assert ("tool_call", call) in told
        assert ("tool_result", '{"id":"call_2","content":"waited"}') in told
    else:
        assert ("message", '{"type":"thinking","content":"Let"}') in told
        assert ("message", f'{{"type":"tool_call","content":{call}}}') in told


def test_bare_text_has_nothing_beside_the_reply() -> None:
    made = turn(Scenario(runtime="text"), Reply(**SCRIPTED).said("x", 0))
    assert [event.data for event in events_of(b"".join(made.spoken))] == ["It", " is", " cold", "."]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_tool_without_a_result_has_none_told(runtime: Any) -> None:
    silent = {"match": "", "text": "", "tool_calls": [{"name": "wait", "arguments": {"s": 1}}]}
    made = turn(Scenario(runtime=runtime), Reply(**silent).said("x", 0))
    body = b"".join(made.spoken).decode()
    told = re.search("TOOL_CALL_RESULT|tool-output|toolResponse|_output|tool_result", body)
    assert told is None
