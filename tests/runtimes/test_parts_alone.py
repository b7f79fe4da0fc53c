"""Parts of a stream alone: by which key a call is known, what says nothing, what it takes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from parts_tools import (
    LOOK,
    add,
    block,
    chunk,
    content_of,
    delta,
    event_of,
    item,
    message,
    typed,
)
from runtimes_tools import read_one

from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._runtimes.meaning import (
    Part,
    Reasoning,
    Tokens,
    ToolArguments,
    ToolCalled,
    ToolResult,
)


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
        add(content, part)
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
    assert parts_of(("hermes.tool.progress", frame)) == ([] if found is None else [found])


def parts_of(frame: Any) -> list[Part]:
    event = event_of(frame)
    return list(read_one(event.data, event.event).parts)


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
    [one, more, other, rest] = parts_of(chunk({"tool_calls": calls}))
    assert [one, other] == [ToolCalled("a", "look", "a"), ToolCalled("b", "look", "b")]
    assert [more, rest] == [ToolArguments("a", "{}"), ToolArguments("b", "{}")]
    [nameless, _] = parts_of(chunk({"tool_calls": [{"function": function}]}))
    assert nameless == ToolCalled(0, "look")


def test_a_whole_message_in_a_chunk_may_call_a_tool() -> None:
    whole = {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "look"}}]}
    assert parts_of({"choices": [{"message": whole}]}) == [ToolCalled("a", "look", "a")]


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
    assert parts_of(frame) == []


def test_each_thing_that_could_not_be_read_is_noted_once() -> None:
    result = typed("TOOL_CALL_RESULT", toolCallId="a", content="cold")
    assert content_of([result, result]).notes == ["a tool's result came without its call"]


@pytest.mark.parametrize("value", [[[]] * 1000, [{}] * 1000, {str(n): [n] for n in range(1000)}])
def test_what_a_value_consists_of_counts(value: object) -> None:
    content = Content()
    add(content, ToolCalled("a", "look", None, value))
    assert content.held > 1000 * 64, "an empty list takes that much"


def test_deep_nesting_is_counted_too() -> None:
    content, value = Content(), list[object]()
    for _ in range(50_000):
        value = [value]
    add(content, ToolCalled("a", "look", None, value))
    assert content.held > 50_000 * 64
