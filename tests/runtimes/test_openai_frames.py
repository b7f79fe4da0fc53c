"""What OpenAI's chunks mean, as many send them, and its Responses, most of which repeat."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from runtimes_tools import LOOK, NO_MESSAGE, call, chunk, exact, read_one, typed

from pytest_hydrasmoke._runtimes.meaning import (
    Meaning,
    Part,
    Reasoning,
    TokensUsed,
    ToolArguments,
    ToolCalled,
    ToolResult,
    goes_on,
    has_said_all,
    is_failure,
)

MODEL = "gpt-4o"
FAILURES = """
    error ERROR server_error network-error failed failure cancelled canceled abort aborted timeout
    timed_out
"""
SAID_ALL = "stop STOP end_turn stop_sequence completed eos success"
GO_ON = "tool_calls tool-calls toolCalls tool_call tool_use function_call pause_turn"
# What is none of these may be a limit, a filter, or anything else that left the reply as it is.
CUT_SHORT = """
    length max_tokens MAX_TOKENS max_output_tokens maxTokens content_filter content-filter safety
    SAFETY refusal incomplete model_context_window_exceeded other unknown errors no_error
    uncancelledly insufficient_system_resource max_iterations
"""


def says(*parts: Part, **more: Any) -> Meaning:
    return Meaning(parts=parts, **more)


def test_a_finish_reason_is_a_failure_or_cuts_the_reply_short_or_goes_on_or_ends() -> None:
    kinds = [it.split() for it in (FAILURES, SAID_ALL, GO_ON, CUT_SHORT)]
    for word in itertools.chain.from_iterable(kinds):
        found = (is_failure(word), has_said_all(word), goes_on(word))
        assert found == tuple(word in kind for kind in kinds[:3]), word
        told = {**chunk({"content": "!"}), "error": {"message": "truncated"}}
        told["choices"][0]["finish_reason"] = word
        error = None if word == "length" else "truncated"
        means = Meaning("" if error else "!", error=error, finish=word, runtime="OpenAI chat")
        assert read_one(told) == means
        bare = read_one({"choices": [{"delta": {}, "finish_reason": word}]})
        silent = f"it finished with {word!r}, and no message with it"
        assert (bare.error, bare.finish, bare.end) == (silent if found[0] else None, word, False)


def first(**choice: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, **choice}]}


def nested(depth: int) -> dict[str, Any]:
    text: object = "x"
    for _ in range(depth):
        text = [text]
    return first(delta=text)


def chosen(depth: int) -> dict[str, Any]:
    return first(text="x") if depth == 1 else {"choices": [chosen(depth - 1)]}


ZERO = {"index": 0, "delta": {"content": "0"}, "finish_reason": "stop"}
ONE = {"index": 1, "delta": {"content": "1"}, "finish_reason": "length"}
FUNCTION = {"name": "look", "arguments": "{}"}
STOPPED = first(delta={}, finish_reason="error")
USED = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
CHUNKS: list[tuple[dict[str, Any], Meaning]] = [
    (chunk({"role": "assistant", "content": "Hi"}, model=MODEL), Meaning("Hi", models=(MODEL,))),
    (chunk({}, model="x" * 128), Meaning(models=("x" * 128,))),
    (first(message={"role": "assistant", "content": "Hi"}), Meaning("Hi")),
    (first(text="Hi"), Meaning("Hi")),
    (first(delta={"content": "!"}, finish_reason="stop"), Meaning("!", finish="stop")),
    (nested(6), Meaning("x")),
    (nested(7), Meaning()),
    (chosen(7), Meaning("x")),
    (chosen(8), Meaning()),
    *(
        (first(delta={}, finish_reason=it), Meaning())
        for it in (7, "", None, ["stop"], "null", "None")
    ),
    *((first(delta={}, finish_reason=it), Meaning()) for it in ("two words", "x" * 65, "stop\n")),
    # Of several choices the first one counts.
    ({"choices": [ZERO, ONE]}, Meaning("0", finish="stop")),
    ({"choices": [ONE, ZERO]}, Meaning("0", finish="stop")),
    *(({"choices": it}, Meaning()) for it in ([], [None, 7], ["once"], [ONE])),
    ({"choices": [None, {"delta": {"content": "x"}}]}, Meaning("x")),
    # What is beside its text.
    (chunk({"reasoning_content": "H", "reasoning": "x"}), says(Reasoning("H"))),
    (chunk({"reasoning": "m.", "content": None}), says(Reasoning("m."))),
    (chunk({"content": [{"type": "thinking", "text": "Hm."}]}), Meaning()),
    *((chunk({"role": role, "content": "x"}), Meaning()) for role in ("tool", "user", "User")),
    (call(0, id="a", name="look", arguments=""), says(ToolCalled(0, "look", "a", ""))),
    (call(0, arguments=""), Meaning()),
    (call(7, arguments="{"), says(ToolArguments(7, "{"))),
    (
        chunk({"tool_calls": [{"id": it, "function": FUNCTION} for it in "ab"]}),
        says(
            *(ToolCalled("a", "look", "a", ""), ToolArguments("a", "{}")),
            *(ToolCalled("b", "look", "b", ""), ToolArguments("b", "{}")),
        ),
    ),
    (
        chunk({"tool_calls": [{"function": FUNCTION}]}),
        says(ToolCalled(0, "look", None, ""), ToolArguments(0, "{}")),
    ),
    # Whoever serves a tool names it, and its calls.
    *(
        (call(0, id=it, name=it), says(ToolCalled(0, it, it)))
        for it in ("_drop", "3d", "files/delete", "mcp:look up", "löschen", "y" * 200)
    ),
    (call(0, id="", name="\x1b[2J"), says(ToolCalled(0, "\\x1b[2J"))),
    (call(0, id="a", name=" "), says(ToolCalled(0, None, "a"))),
    (first(message={"tool_calls": [{"id": "a"}]}), says(ToolCalled("a", None, "a"))),
    (chunk({"tool_calls": [None, "look", {"index": 0, "function": None}]}), Meaning()),
    # The form of a single call, which many still send.
    (
        chunk({"function_call": {"name": "look", "arguments": ""}}),
        says(ToolCalled(0, "look", None, "")),
    ),
    (chunk({"function_call": {"arguments": "{}"}}), says(ToolArguments(0, "{}"))),
    (chunk({"function_call": None}), Meaning()),
    ({"choices": [], "usage": USED}, says(TokensUsed(9, 5, 4, 3))),
    *(
        (
            {"choices": [], "usage": {**USED, "prompt_tokens_details": it}},
            says(TokensUsed(9, 5, None, 3)),
        )
        for it in (None, {}, {"cached_tokens": None}, 3, [4])
    ),
    ({"choices": [], "usage": 7}, Meaning()),
    ({"event": "unheard_of", "choices": [], "usage": {"prompt_tokens": 7}}, says(TokensUsed(7))),
    # An error may lie in the chunk, or in its choice.
    ({**STOPPED, "error": {"message": "x"}}, Meaning(error="x", finish="error")),
    (
        first(delta={}, error={"code": 502, "message": "Overloaded"}, finish_reason="error"),
        Meaning(error="Overloaded", finish="error"),
    ),
    (
        {**first(delta={}, error={"message": "not this"}), "error": {"message": "Overloaded"}},
        Meaning(error="Overloaded"),
    ),
    (
        chunk({}, error=True, message="Overloaded", model=MODEL),
        Meaning(error="Overloaded", models=(MODEL,)),
    ),
    (chunk({}, error=True), Meaning(error=NO_MESSAGE)),
    *((chunk({"content": "x"}, model=it), Meaning("x")) for it in ("", None, 4, ["a"], "a\nb")),
    *((chunk({"content": "x"}, model=it), Meaning("x")) for it in ("\ud800", "x" * 129)),
]


def test_what_a_chunk_means() -> None:
    for frame, means in CHUNKS:
        assert exact(read_one(frame)) == exact(means._replace(runtime="OpenAI chat")), frame
    for choices in (None, "x", {}, 7):
        assert read_one({"choices": choices}) == Meaning(), "it is no chunk"


def item(kind: str, **fields: Any) -> dict[str, Any]:
    return typed("output_item.added", item=typed(kind, **fields))


def ends(kind: str, **response: Any) -> dict[str, Any]:
    return typed(kind, response=response)


def fails(error: str = NO_MESSAGE) -> Meaning:
    return Meaning(error=error)


ARGS = "function_call_arguments"
END, INCOMPLETE = Meaning(end=True), Meaning(end=True, finish="incomplete")
LIMIT: dict[str, Any] = {"incomplete_details": {"reason": "max_output_tokens"}}
CALLS = [{"type": "message"}, {"type": "reasoning"}, {"type": "function_call", "name": "look"}]
CALL: dict[str, Any] = {"type": "function_call", "name": "look", "arguments": "{}"}
ANY = "_files/2 delete:now" + "y" * 80
CALL_OF_ANY = {"name": ANY, "arguments": "{}"}
OVERLOADED = {"message": "Overloaded", "code": "server_error"}
COUNTED = {
    "input_tokens": 9,
    "output_tokens": 5,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens_details": {"reasoning_tokens": 3},
}
RESPONSES: list[tuple[dict[str, Any], Meaning]] = [
    (ends("created", model=MODEL), Meaning(begins=True, models=(MODEL,))),
    (typed("output_text.delta", delta="Hi"), Meaning("Hi")),
    (typed("reasoning_text.delta", delta="Hm."), says(Reasoning("Hm."))),
    (typed("reasoning_summary_text.delta", delta="Hm."), says(Reasoning("Hm."))),
    *(
        (typed(f"output_item.{kind}", item={**CALL, **told}), says(ToolCalled(*called)))
        for kind in ("added", "done")
        for told, called in (
            ({"id": "i", "call_id": "a"}, ("i", "look", "a", "{}")),
            ({"id": "i", "call_id": "a", "arguments": ""}, ("i", "look", "a", "")),
            ({"call_id": "a", "arguments": LOOK}, ("a", "look", "a", LOOK)),
            ({}, (0, "look", None, "{}")),
        )
    ),
    (item("mcp_call", id="i", **CALL_OF_ANY), says(ToolCalled("i", ANY, None, "{}"))),
    (item("custom_tool_call", call_id="7f", name=ANY), says(ToolCalled("7f", ANY, "7f"))),
    (item("function_call_output", call_id="a", output="cold"), says(ToolResult("a", "cold"))),
    (item("function_call_output", output="cold"), Meaning()),
    (item("message", id="m", model="Tesla"), Meaning()),
    # Tools of the model's server have no name but their type, and tell what they do.
    (
        item("local_shell_call", id="i", call_id="a", action={"command": ["ls"]}),
        says(ToolCalled("i", "local_shell", "a", {"command": ["ls"]})),
    ),
    (item("web_search_call", id="i"), says(ToolCalled("i", "web_search"))),
    (item("function_call", id="i"), says(ToolCalled("i"))),
    (
        item("mcp_call", id="i", name="look", output="cold"),
        says(ToolCalled("i", "look"), ToolResult("i", "cold")),
    ),
    (item("custom_tool_call_output", call_id="a", output="x"), says(ToolResult("a", "x"))),
    (typed(f"{ARGS}.delta", item_id="i", output_index=7, delta="{"), says(ToolArguments("i", "{"))),
    (typed(f"{ARGS}.delta", output_index=7, delta="{"), says(ToolArguments(7, "{"))),
    (typed(f"{ARGS}.done", item_id="i", arguments="{}"), says(ToolCalled("i", arguments="{}"))),
    (typed(f"{ARGS}.done", arguments="{}"), says(ToolCalled(0, arguments="{}"))),
    # All ends may have one name.
    (ends("incomplete", **LIMIT), Meaning(end=True, finish="max_output_tokens")),
    (ends("done", status="incomplete", **LIMIT), Meaning(end=True, finish="max_output_tokens")),
    (ends("incomplete"), INCOMPLETE),
    (typed("incomplete"), INCOMPLETE),
    *((ends("done", status=status), END) for status in ("completed", None, 7)),
    (ends("completed", model=MODEL, output=CALLS[::-1]), END._replace(models=(MODEL,))),
    *(
        (
            ends(kind, status="completed", output=CALLS, usage=COUNTED),
            says(TokensUsed(9, 5, 4, 3), end=True, of_message=True, finish="tool_calls"),
        )
        for kind in ("completed", "done")
    ),
    (
        ends("completed", output=[{"type": "message"}, {"type": "custom_tool_call"}]),
        Meaning(end=True, of_message=True, finish="tool_calls"),
    ),
    (ends("completed", output=[{"type": "web_search_call"}]), END),
    *(
        row
        for kind in ("failed", "done")
        for row in (
            (ends(kind, status="failed", error=OVERLOADED), fails("Overloaded")),
            ({**ends(kind, status="failed"), "error": OVERLOADED}, fails("Overloaded")),
            (ends(kind, status="failed", error=None), fails()),
        )
    ),
    (ends("done", status="queued"), Meaning()),
    (typed("error", error=OVERLOADED), fails("Overloaded")),
    (typed("turn.aborted"), fails()),
    (typed("turn.failed", message="Overloaded"), fails("Overloaded")),
    (ends("cancelled"), fails("the response was cancelled")),
    (ends("done", status="cancelled"), fails("the response was cancelled")),
    *(
        (ends(kind, usage=COUNTED), means._replace(parts=(TokensUsed(9, 5, 4, 3),)))
        for kind, means in (
            *(("completed", END), ("incomplete", INCOMPLETE), ("done", END), ("failed", fails())),
        )
    ),
    *(
        (typed(kind, delta="x", text="x", item={"content": "x"}, error="x"), Meaning())
        for kind in (
            "output_text.done",
            "reasoning_text.done",
            "refusal.delta",
            "mcp_call.failed",
            "",
        )
    ),
]


@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "named"])
def test_what_an_object_of_responses_means(named: bool) -> None:
    for told, means in RESPONSES:
        kind = f"response.{told['type']}"
        frame = {**told, "type": kind}
        found = read_one((kind, frame) if named else frame)
        assert exact(found) == exact(means._replace(runtime="OpenAI Responses")), frame
