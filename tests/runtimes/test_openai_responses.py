"""OpenAI's Responses, of which most objects repeat what was said."""

from __future__ import annotations

from typing import Any

import pytest
from runtimes_tools import Said, body, known, parts_of, read

from pytest_hydrasmoke._runtimes.meaning import (
    Meaning,
    Part,
    Reasoning,
    Tokens,
    ToolArguments,
    ToolCalled,
    ToolResult,
)

COMPLETED = """\
event: response.completed
data: {"type":"response.completed","response":{"status":"completed","error":null,"output":[
data: {"type":"message","role":"assistant","content":[{"type":"text","text":"Hello, world"}]}]}}

"""


def end(kind: str, **response: object) -> Meaning:
    return known({"type": kind, "response": response}, kind)


def test_a_turn() -> None:
    assert read(body("openai-responses")) == Said()
    assert read(body("openai-responses") + COMPLETED) == Said(ends=1)


def test_a_piece_of_the_text() -> None:
    told = {"type": "response.output_text.delta", "delta": "Hi"}
    assert known(told) == Meaning("Hi", runtime="OpenAI Responses")


def test_an_incomplete_response_has_its_reason() -> None:
    met_a_limit: dict[str, Any] = {"incomplete_details": {"reason": "max_output_tokens"}}
    told = Meaning(end=True, finish="max_output_tokens", runtime="OpenAI Responses")
    assert end("response.incomplete", **met_a_limit) == told
    assert end("response.done", status="incomplete", **met_a_limit) == told
    assert end("response.incomplete").finish == "incomplete"
    assert known({"type": "response.incomplete"}).finish == "incomplete"


@pytest.mark.parametrize("kind", ["response.failed", "response.done"])
def test_a_failed_response(kind: str) -> None:
    found = end(kind, status="failed", error={"message": "Overloaded", "code": "server_error"})
    assert found == Meaning(error="Overloaded", runtime="OpenAI Responses")
    beside = {"type": kind, "response": {"status": "failed"}, "error": {"message": "Overloaded"}}
    assert known(beside, kind).error == "Overloaded"
    found = end(kind, status="failed", error=None)
    assert found.error == "the agent reports an error, and no message with it"


def test_a_response_that_ends_with_a_call_is_the_end_of_a_message() -> None:
    asked = [{"type": "message"}, {"type": "function_call", "name": "look"}]
    told = Meaning(end=True, of_message=True, finish="tool_calls", runtime="OpenAI Responses")
    assert end("response.completed", output=asked) == told
    assert end("response.done", status="completed", output=asked) == told
    plain = Meaning(end=True, runtime="OpenAI Responses")
    assert end("response.completed", output=asked[::-1]) == plain


def test_a_cancelled_response() -> None:
    assert end("response.cancelled").error == "the response was cancelled"
    assert end("response.done", status="cancelled").error == "the response was cancelled"


def test_an_error_of_the_stream() -> None:
    told = {"type": "error", "code": "server_error", "message": "Overloaded", "param": None}
    assert known(told, "error").error == known(told).error == "Overloaded"


@pytest.mark.parametrize("status", ["completed", None, 7])
def test_one_name_for_all_ends(status: object) -> None:
    assert end("response.done", status=status) == Meaning(end=True, runtime="OpenAI Responses")


OTHERS = """
    response.created response.output_item.added response.output_item.done response.refusal.delta
    response.output_text.done response.reasoning_text.delta response.mcp_call.failed
    response.function_call_arguments.delta response.unheard_of response.
"""


@pytest.mark.parametrize("kind", OTHERS.split())
def test_other_kinds_say_nothing(kind: str) -> None:
    told = {"type": kind, "delta": "x", "text": "x", "item": {"content": "x"}, "error": "x"}
    said = Meaning(begins=kind == "response.created", runtime="OpenAI Responses")
    assert known(told, kind) == known(told) == said


def said(kind: str, **fields: Any) -> list[Part]:
    """Return what an object says beside text."""
    return parts_of({"type": kind, **fields}, kind)


CALL: dict[str, Any] = {"type": "function_call", "name": "look", "arguments": "{}"}


@pytest.mark.parametrize("kind", ["response.output_item.added", "response.output_item.done"])
def test_a_tool_call_is_an_item(kind: str) -> None:
    item = {**CALL, "id": "i", "call_id": "a"}
    assert said(kind, item=item) == [ToolCalled("i", "look", "a", "{}")]
    assert said(kind, item={**item, "arguments": ""}) == [ToolCalled("i", "look", "a", None)]
    assert said(kind, item={**CALL, "call_id": "a"}) == [ToolCalled("a", "look", "a", "{}")]
    assert said(kind, item=CALL) == [ToolCalled(0, "look", None, "{}")]
    output = {"type": "function_call_output", "call_id": "a", "output": "cold"}
    assert said(kind, item=output) == [ToolResult("a", "cold")]


@pytest.mark.parametrize(
    ("of", "key"), [({"item_id": "i", "output_index": 7}, "i"), ({"output_index": 7}, 7), ({}, 0)]
)
def test_arguments_come_in_pieces_and_as_a_whole(of: dict[str, Any], key: str | int) -> None:
    kind = "response.function_call_arguments"
    assert said(f"{kind}.delta", **of, delta="{") == [ToolArguments(key, "{")]
    assert said(f"{kind}.done", **of, arguments="{}") == [ToolCalled(key, arguments="{}")]


@pytest.mark.parametrize("kind", ["reasoning_text", "reasoning_summary_text"])
def test_reasoning(kind: str) -> None:
    assert said(f"response.{kind}.delta", delta="Hm.") == [Reasoning("Hm.")]
    assert said(f"response.{kind}.done", text="Hm.") == []


@pytest.mark.parametrize("kind", ["completed", "incomplete", "done"])
def test_any_end_tells_the_usage(kind: str) -> None:
    usage = {"input_tokens": 7, "output_tokens": 2}
    assert said(f"response.{kind}", response={"usage": usage}) == [Tokens(7, 2)]
