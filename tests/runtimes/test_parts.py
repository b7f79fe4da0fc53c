"""What streams say beside text: each runtime's tools, reasoning and usage, in its own forms."""

from __future__ import annotations

import json
from typing import Any

import pytest
from parts_tools import (
    LOOK,
    PIECES,
    block,
    call,
    chunk,
    content_of,
    delta,
    event_of,
    item,
    message,
    typed,
)

from pytest_hydrasmoke._runtimes.content import TokenUsage, ToolCall
from pytest_hydrasmoke._runtimes.read import read

HERMES_RUN: list[Any] = [
    {"event": "tool.started", "tool": "look", "preview": "Oslo"},
    {"event": "tool.completed", "tool": "look", "duration": 0.1, "error": False},
    {"event": "tool.started", "tool": "_thinking"},
    {"event": "tool.started", "tool": "look"},
    {"event": "message.delta", "delta": "Cold."},
    {"event": "reasoning.delta", "delta": "Hm."},
    {"event": "reasoning.available", "text": "Cold. "},
    {"event": "run.completed", "output": "x", "usage": {"input_tokens": 7, "output_tokens": 2}},
]

STREAMS: dict[str, tuple[list[Any], list[Any], str, tuple[int, int] | None]] = {
    "openai": (
        [
            chunk({"reasoning_content": "H"}),
            chunk({"reasoning": "m."}),
            call(0, id="a", name="look", arguments=""),
            call(1, id="b", name="wait", arguments="{}"),
            call(0, arguments=PIECES[0]),
            call(0, arguments=PIECES[1]),
            {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}},
        ],
        [("look", LOOK, "a", None), ("wait", {}, "b", None)],
        "Hm.",
        (7, 2),
    ),
    "openai, an index used twice": (
        [
            call(0, id="a", name="look", arguments="{}"),
            call(0, id="b", name="look", arguments=json.dumps(LOOK)),
            call(7, name="far"),
        ],
        [("look", {}, "a", None), ("look", LOOK, "b", None), ("far", None, None, None)],
        "",
        None,
    ),
    "hermes among chunks": (
        [
            (
                "hermes.tool.progress",
                {"tool": "look", "label": "x", "toolCallId": "a", "status": "running"},
            ),
            (
                "hermes.tool.progress",
                {"tool": "look", "label": "x", "toolCallId": "a", "status": "completed"},
            ),
            ("hermes.tool.progress", {"tool": "_inner", "toolCallId": "b", "status": "running"}),
            chunk({"content": "Cold."}),
        ],
        [("look", None, "a", None)],
        "",
        None,
    ),
    "hermes run": (
        HERMES_RUN,
        [("look", None, None, None), ("look", None, None, None)],
        "Hm.",
        (7, 2),
    ),
    "hermes session": (
        [
            ("tool.started", {"tool_name": "look", "args": LOOK}),
            ("tool.completed", {"tool_name": "look", "result": "cold"}),
            ("tool.started", {"tool_name": "wait"}),
            ("tool.completed", {"tool_name": "wait", "error": "too long"}),
            ("tool.progress", {"tool_name": "_thinking", "delta": "..."}),
            ("reasoning.delta", {"delta": "Hm."}),
            ("run.completed", {"usage": {"input_tokens": 7, "output_tokens": 2}}),
        ],
        [("look", LOOK, None, "cold"), ("wait", None, None, "too long")],
        "Hm.",
        (7, 2),
    ),
    "responses": (
        [
            typed("response.reasoning_summary_text.delta", delta="Hm."),
            item("function_call", id="i", call_id="a", name="look", arguments=""),
            typed("response.function_call_arguments.delta", item_id="i", delta=PIECES[0]),
            typed("response.function_call_arguments.delta", item_id="i", delta=PIECES[1]),
            typed("response.function_call_arguments.done", item_id="i", arguments=json.dumps(LOOK)),
            item("function_call_output", call_id="a", output="cold"),
            item("message", id="m"),
            typed(
                "response.completed", response={"usage": {"input_tokens": 7, "output_tokens": 2}}
            ),
        ],
        [("look", LOOK, "a", "cold")],
        "Hm.",
        (7, 2),
    ),
    "anthropic": (
        [
            typed("message_start", message={"usage": {"input_tokens": 7, "output_tokens": 1}}),
            delta(0, "thinking_delta", thinking="Hm."),
            block(1, type="tool_use", id="a", name="look", input={}),
            delta(1, "input_json_delta", partial_json=PIECES[0]),
            delta(1, "input_json_delta", partial_json=PIECES[1]),
            block(2, type="tool_use", id="b", name="wait", input={"s": 1}),
            block(3, type="text", text=""),
            typed("message_delta", delta={}, usage={"output_tokens": 2}),
        ],
        [("look", LOOK, "a", None), ("wait", {"s": 1}, "b", None)],
        "Hm.",
        (7, 2),
    ),
    "goose": (
        [
            message("assistant", type="thinking", thinking="Hm."),
            message(
                "assistant",
                type="toolRequest",
                id="a",
                toolCall={"status": "success", "value": {"name": "look", "arguments": LOOK}},
            ),
            message("user", type="toolResponse", id="a", toolResult={"value": "cold"}),
            typed("Finish", reason="stop", token_state={"inputTokens": 7, "outputTokens": 2}),
        ],
        [("look", LOOK, "a", "cold")],
        "Hm.",
        (7, 2),
    ),
    "ag-ui": (
        [
            typed("THINKING_TEXT_MESSAGE_CONTENT", delta="Hm."),
            typed("TOOL_CALL_START", toolCallId="a", toolCallName="look"),
            typed("TOOL_CALL_ARGS", toolCallId="a", delta=PIECES[0]),
            typed("TOOL_CALL_ARGS", toolCallId="a", delta=PIECES[1]),
            typed("TOOL_CALL_END", toolCallId="a"),
            typed("TOOL_CALL_RESULT", toolCallId="a", messageId="m", content="cold"),
            typed("TOOL_CALL_CHUNK", toolCallId="b", toolCallName="wait", delta="{}"),
        ],
        [("look", LOOK, "a", "cold"), ("wait", {}, "b", None)],
        "Hm.",
        None,
    ),
    "ai-sdk": (
        [
            typed("reasoning-delta", id="r", delta="Hm."),
            typed("tool-input-start", toolCallId="a", toolName="look"),
            typed("tool-input-delta", toolCallId="a", inputTextDelta=PIECES[0]),
            typed("tool-input-available", toolCallId="a", toolName="look", input=LOOK),
            typed("tool-output-available", toolCallId="a", output={"sky": "grey"}),
            typed("tool-input-available", toolCallId="b", toolName="wait", input={}),
            typed("tool-output-error", toolCallId="b", errorText="too long"),
            typed("finish", messageMetadata={"usage": {"inputTokens": 7, "outputTokens": 2}}),
        ],
        [("look", LOOK, "a", {"sky": "grey"}), ("wait", {}, "b", "too long")],
        "Hm.",
        (7, 2),
    ),
    "none that is known": (
        [typed("tool_call", name="look"), {"usage": 7}, ("usage", {"prompt_tokens": 1}), "plain"],
        [],
        "",
        None,
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_what_a_stream_says_beside_text(name: str) -> None:
    frames, calls, reasoning, usage = STREAMS[name]
    content = content_of(frames)
    found = [(it.name, it.arguments, it.id, it.result) for it in content.tool_calls]
    assert found == calls
    assert content.reasoning("Cold.") == reasoning
    assert content.usage == (usage and TokenUsage(*usage))
    assert content.notes == []


@pytest.mark.parametrize("name", STREAMS)
def test_none_of_it_is_text(name: str) -> None:
    said = "".join(read(event_of(frame)).text for frame in STREAMS[name][0])
    assert said in ("", "Cold.", "plain")


def test_a_call_is_as_old_as_its_first_event() -> None:
    [it] = content_of([chunk({}), call(0, name="look"), call(0, arguments="{}")]).tool_calls
    assert it == ToolCall("look", {}, None, None, 1)
    [it] = content_of([chunk({}), call(0, arguments="{}"), call(0, name="look")]).tool_calls
    assert it == ToolCall("look", {}, None, None, 1)


@pytest.mark.parametrize("said", ["It is ", " Cold.", "", "It is\n\nCold. "])
def test_reasoning_that_repeats_a_piece_of_the_reply_is_none(said: str) -> None:
    content = content_of([{"event": "reasoning.available", "text": said}])
    assert content.reasoning("It is\n\nCold.") == ""


def test_reasoning_that_is_more_than_the_reply_is_told() -> None:
    content = content_of([{"event": "reasoning.available", "text": "I looked."}])
    assert content.reasoning("Cold.") == "I looked."


WRONG = {
    "arguments cut": (call(0, name="look", arguments='{"a"'), "of look are not JSON"),
    "NaN": (call(0, name="look", arguments='{"a": NaN}'), "of look are not JSON"),
    "nested too deeply": (call(0, name="look", arguments="[" * 100_000), "of look are not JSON"),
    "a list": (call(0, name="look", arguments="[1]"), "of look are not a JSON object"),
    "a number": (
        typed("tool-input-available", toolCallId="a", toolName="look", input=7),
        "of look are not a JSON object",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_arguments_that_are_none_are_not_known(case: str) -> None:
    frame, note = WRONG[case]
    content = content_of([frame])
    assert [it.arguments for it in content.tool_calls] == [None]
    assert [note in it for it in content.notes] == [True]


def test_a_call_without_a_name_is_no_tool() -> None:
    content = content_of([call(0, arguments="{}")])
    assert content.tool_calls == ()
    assert content.notes == ["a tool call came without the tool's name"]


def test_a_result_without_its_call_is_no_tool() -> None:
    content = content_of([typed("TOOL_CALL_RESULT", toolCallId="a", content="cold")])
    assert content.tool_calls == ()
    assert content.notes == ["a tool's result came without its call"]


@pytest.mark.parametrize("told", [-1, "7", 1.5, True, 1 << 53, [7]])
def test_usage_that_is_no_number_is_not_known(told: object) -> None:
    content = content_of(
        [{"choices": [], "usage": {"prompt_tokens": told, "completion_tokens": 2}}]
    )
    assert content.usage is None
    assert content.notes == ["the reported usage is not a number of tokens"]


def message_start(read: object, written: object) -> dict[str, Any]:
    usage = {"input_tokens": read, "output_tokens": written}
    return typed("message_start", message={"usage": usage})


def test_usage_is_of_all_calls_of_the_model() -> None:
    one = [message_start(7, 1), typed("message_delta", delta={}, usage={"output_tokens": 2})]
    other = [message_start(9, 1), typed("message_delta", delta={}, usage={"output_tokens": 30})]
    assert content_of([*one, *other]).usage == TokenUsage(16, 32)
    assert content_of([*one, *other, *one]).usage == TokenUsage(23, 34)
    assert content_of([message_start(None, 1), *other]).usage == TokenUsage(9, 30)


def test_usage_of_no_tokens_is_noted() -> None:
    content = content_of([{"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}])
    assert content.usage == TokenUsage(0, 0)
    told = "the reported usage is 0 tokens: the reply may be an error text"
    assert content.notes == [told]
    content = content_of([{"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 1}}])
    assert (content.usage, content.notes) == (TokenUsage(0, 1), [])


def test_usage_is_told_by_halves() -> None:
    delta = typed("message_delta", delta={}, usage={"input_tokens": 8})
    assert content_of([message_start(7, 5), delta]).usage == TokenUsage(8, 5)
    assert content_of([message_start(7, None)]).usage is None
    assert content_of([message_start(None, 7)]).usage is None
    assert content_of([message_start(7, 5), message_start(None, 1)]).usage is None
