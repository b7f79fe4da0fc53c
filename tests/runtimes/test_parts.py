"""What streams say beside text: each runtime's tools, reasoning and usage, in its own forms."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sizes import examples

from pytest_hydrasmoke._runtimes import ag_ui, ai_sdk, anthropic, goose, hermes
from pytest_hydrasmoke._runtimes.content import Content, TokenUsage, ToolCall
from pytest_hydrasmoke._runtimes.parts import (
    Part,
    Reasoning,
    Tokens,
    ToolArguments,
    ToolCalled,
    ToolResult,
)
from pytest_hydrasmoke._runtimes.registry import meaning, parts
from pytest_hydrasmoke._sse.decoder import ChatEvent


def chunk(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}], **more}


def call(index: int, **fields: Any) -> dict[str, Any]:
    """Return a chunk with a piece of a tool call."""
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    return chunk({"tool_calls": [{"index": index, **fields, "function": function}]})


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


def item(kind: str, **fields: Any) -> dict[str, Any]:
    return typed("response.output_item.added", item=typed(kind, **fields))


def block(index: int, **content: Any) -> dict[str, Any]:
    return typed("content_block_start", index=index, content_block=content)


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return typed("content_block_delta", index=index, delta=typed(kind, **fields))


def message(role: str, **content: Any) -> dict[str, Any]:
    return typed("Message", message={"id": "m", "role": role, "content": [content]})


LOOK = {"city": "Oslo"}
PIECES = ('{"city"', ': "Oslo"}')
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


def event_of(frame: Any, at: float = 0.0) -> ChatEvent:
    name, data = frame if isinstance(frame, tuple) else ("message", frame)
    if isinstance(data, dict) and name == "message" and data.get("type") in anthropic.TYPES:
        name = data["type"]
    return ChatEvent(name, data if isinstance(data, str) else json.dumps(data), "", None, at)


def content_of(frames: list[Any]) -> Content:
    content = Content()
    for at, frame in enumerate(frames):
        for part in parts(event_of(frame, at)):
            content.add(part, at)
    return content


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
    said = "".join(meaning(event_of(frame)).text for frame in STREAMS[name][0])
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


def test_what_it_takes_is_counted() -> None:
    assert Content().held == 0

    def size(*values: object) -> int:
        return sum(sys.getsizeof(value) + 8 for value in values)

    parts_and_sizes: list[tuple[Part, int]] = [
        (Reasoning("x" * 1000), 250 + sys.getsizeof("x" * 1000)),
        (ToolArguments("a", "é" * 1000), 700 + size("é" * 1000)),
        (ToolCalled("a", "look", None, LOOK), size("look", None, LOOK, "city", "Oslo")),
        (ToolCalled("b", "look"), 700 + size("look", None, None)),
        (ToolResult("a", ["cold", []]), size(["cold", []], "cold", [])),
        (ToolResult("a", None), size(None)),
        (Tokens(7, 2), 0),
    ]
    content, whole = Content(), 0
    for part, more in parts_and_sizes:
        content.add(part, 0)
        whole += more
        assert content.held == whole


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        ({"tool": "look", "toolCallId": "a", "status": "running"}, ToolCalled("a", "look", "a")),
        ({"tool": "look", "toolCallId": 7, "status": "running"}, ToolCalled(7, "look", "7")),
        ({"tool": "look", "status": "running"}, ToolCalled("look", "look")),
        ({"tool": "look", "toolCallId": "a", "status": "completed"}, None),
        ({"tool": "_look", "toolCallId": "a", "status": "running"}, None),
        ({"toolCallId": "a", "status": "running"}, None),
    ],
)
def test_progress_tells_of_a_call_when_it_begins(frame: Any, found: Part | None) -> None:
    told = list(parts(event_of(("hermes.tool.progress", frame))))
    assert told == ([] if found is None else [found])


def parts_of(frame: Any) -> list[Part]:
    return list(parts(event_of(frame)))


@pytest.mark.parametrize(("index", "key"), [(0, 0), (7, 7), (None, 0)])
def test_a_block_is_known_by_its_index(index: Any, key: int) -> None:
    called = block(index, type="tool_use", id="a", name="look", input={})
    assert parts_of(called) == [ToolCalled(key, "look", "a", new=True)]
    assert parts_of(delta(index, "input_json_delta", partial_json="{")) == [ToolArguments(key, "{")]


def test_a_call_of_many_names_is_known_by_its_id() -> None:
    for kind, name, more in (
        ("TOOL_CALL_START", "toolCallName", {}),
        ("tool-input-start", "toolName", {}),
        ("tool-input-available", "toolName", {"input": LOOK}),
        ("tool-input-error", "toolName", {"input": LOOK}),
    ):
        told = typed(kind, toolCallId="a", **{name: "look"}, **more)
        assert parts_of(told) == [ToolCalled("a", "look", "a", more.get("input"))]


@pytest.mark.parametrize(
    ("kind", "name"), [("tool-input-delta", "inputTextDelta"), ("TOOL_CALL_ARGS", "delta")]
)
def test_arguments_come_in_pieces(kind: str, name: str) -> None:
    assert parts_of(typed(kind, toolCallId="a", **{name: "{"})) == [ToolArguments("a", "{")]


@pytest.mark.parametrize("kind", ["finish", "message-metadata"])
def test_usage_may_be_in_metadata_or_beside_it(kind: str) -> None:
    usage = {"inputTokens": 7, "outputTokens": 2}
    assert parts_of(typed(kind, messageMetadata={"usage": usage})) == [Tokens(7, 2)]
    assert parts_of(typed(kind, messageMetadata={}, usage=usage)) == [Tokens(7, 2)]


def test_goose_tells_of_tools_by_their_ids() -> None:
    asked = {"name": "look", "arguments": LOOK}
    for told in ({"value": asked}, asked):
        [it] = parts_of(message("assistant", type="toolRequest", id="a", toolCall=told))
        assert it == ToolCalled("a", "look", "a", LOOK)
    failed = {"status": "error", "error": "too long"}
    [it] = parts_of(message("user", type="toolResponse", id="a", toolResult=failed))
    assert it == ToolResult("a", failed)
    assert parts_of(message("assistant", type="image", id="a", toolResult=failed)) == []


def test_a_call_without_an_index_is_known_by_its_id() -> None:
    function = {"name": "look", "arguments": "{}"}
    calls = [{"id": "a", "function": function}, {"id": "b", "function": function}]
    [one, more, other, rest] = parts(event_of(chunk({"tool_calls": calls})))
    assert [one, other] == [ToolCalled("a", "look", "a"), ToolCalled("b", "look", "b")]
    assert [more, rest] == [ToolArguments("a", "{}"), ToolArguments("b", "{}")]
    [nameless, _] = parts(event_of(chunk({"tool_calls": [{"function": function}]})))
    assert nameless == ToolCalled(0, "look")


def test_a_whole_message_in_a_chunk_may_call_a_tool() -> None:
    whole = {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "look"}}]}
    assert list(parts(event_of({"choices": [{"message": whole}]}))) == [
        ToolCalled("a", "look", "a")
    ]


def looked(key: object) -> Any:
    return message("user", type="toolResponse", id=key, toolResult={"value": "cold"})


KEYED: dict[str, Callable[[object], Any]] = {
    "anthropic": lambda key: typed(
        "content_block_delta", index=key, delta=typed("input_json_delta", partial_json="{")
    ),
    "openai": lambda key: chunk({"tool_calls": [{"index": key, "function": {"name": "look"}}]}),
    "responses": lambda key: typed("response.function_call_arguments.delta", output_index=key),
    "ag-ui": lambda key: typed("TOOL_CALL_START", toolCallId=key, toolCallName="look"),
    "ai-sdk": lambda key: typed("tool-input-start", toolCallId=key, toolName="look"),
    "goose": looked,
    "hermes": lambda key: (
        "hermes.tool.progress",
        {"tool": "look", "toolCallId": key, "status": "running"},
    ),
}


@pytest.mark.parametrize("runtime", KEYED)
def test_a_key_that_is_neither_a_text_nor_a_number_is_none(runtime: str) -> None:
    frame = KEYED[runtime]
    for key in (True, 1.5, ["a"], {"a": 1}):
        assert parts_of(frame(key)) == parts_of(frame(None)) != parts_of(frame("a")), key


SILENT = [
    typed("finish"),
    typed("source-url", toolCallId="a", url="https://router.example"),
    delta(0, "signature_delta", signature="x"),
    typed("message_start", message={}),
    typed("content_block_stop", index=0),
    message("assistant", type="text", text="Cold."),
    message("assistant", type="toolRequest", toolCall={}),
    {"event": "run.completed"},
    {"event": "run.started"},
    typed("response.completed", response={}),
    typed("response.created"),
    item("message", id="m"),
    item("function_call_output", output="cold"),
    chunk({"tool_calls": [None, "look"]}),
    chunk({"tool_calls": [{"index": 0, "function": None}]}),
    typed("TOOL_CALL_END", toolCallId="a"),
    typed("TOOL_CALL_RESULT", content="cold"),
    ("token", "Hello"),
]


@pytest.mark.parametrize("frame", SILENT, ids=json.dumps)
def test_what_says_nothing_beside_text(frame: Any) -> None:
    assert list(parts(event_of(frame))) == []


def test_each_thing_that_could_not_be_read_is_noted_once() -> None:
    result = typed("TOOL_CALL_RESULT", toolCallId="a", content="cold")
    assert content_of([result, result]).notes == ["a tool's result came without its call"]


@pytest.mark.parametrize("value", [[[]] * 1000, [{}] * 1000, {str(n): [n] for n in range(1000)}])
def test_what_a_value_consists_of_counts(value: object) -> None:
    content = Content()
    content.add(ToolCalled("a", "look", None, value), 0)
    assert content.held > 1000 * 64, "an empty list takes that much"


def test_deep_nesting_is_counted_too() -> None:
    content, value = Content(), list[object]()
    for _ in range(50_000):
        value = [value]
    content.add(ToolCalled("a", "look", None, value), 0)
    assert content.held > 50_000 * 64


KINDS = sorted(ag_ui.TYPES | ai_sdk.TYPES | anthropic.TYPES | goose.TYPES | hermes.SESSION)
KINDS += ["response.output_item.added", "response.function_call_arguments.done", "tool_use"]
_KEYS = """
    choices delta tool_calls function arguments name id index usage message content item type
    toolCallId toolCallName toolName input output result tool tool_name args token_state
    toolCall value toolResult content_block partial_json reasoning call_id item_id status
"""
KEYS = _KEYS.split()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(KINDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=20,
)
frames_of_chance = st.dictionaries(st.sampled_from(KEYS), json_values)


@examples(25, 2_000)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["message", "hermes.tool.progress", *KINDS]),
            frames_of_chance,
            st.sampled_from([None, *KINDS]),
            st.sampled_from([None, *sorted(hermes.RUN)]),
        ),
        max_size=6,
    )
)
def test_nothing_that_chance_sends_fails_or_calls_a_tool_without_a_name(events: Any) -> None:
    content = Content()
    for name, frame, kind, word in events:
        full = frame | ({} if kind is None else {"type": kind})
        full |= {} if word is None else {"event": word}
        event = ChatEvent(name, json.dumps(full), "", None, 0.0)
        meaning(event)
        for part in parts(event):
            content.add(part, 0.0)
    for it in content.tool_calls:
        assert it.name
        assert it.arguments is None or isinstance(it.arguments, dict)
    assert isinstance(content.reasoning("x"), str)
    assert content.held >= 0
