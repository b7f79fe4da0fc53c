"""What the frames of each runtime mean: its text, ends, errors, models, tools and usage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from runtimes_tools import LOOK, NO_MESSAGE, block, chunk, delta, exact, message, read_one, typed

from pytest_hydrasmoke._runtimes import agents, anthropic, ui
from pytest_hydrasmoke._runtimes.meaning import (
    Meaning,
    Part,
    Reasoning,
    TokensUsed,
    ToolArguments,
    ToolCalled,
    ToolResult,
)

Rows = list[tuple[Any, Meaning]]
NOTHING, END = Meaning(), Meaning(end=True)
CLAUDE = "claude-sonnet-4-6"
CAMEL = {"inputTokens": 7, "outputTokens": 2}
SNAKE = {"input_tokens": 7, "output_tokens": 2}
NAMED = {"toolCallId": "a", "toolName": "look"}
REPLY, SPOKEN = {"type": "text", "text": "Hi"}, {"type": "text_delta", "text": "Hi"}


def says(*parts: Part, **more: Any) -> Meaning:
    return Meaning(parts=parts, **more)


def fails(error: str = NO_MESSAGE, *parts: Part, **more: Any) -> Meaning:
    return Meaning(error=error, parts=parts, **more)


def finished(*usage: Any, **more: Any) -> dict[str, Any]:
    return typed("RUN_FINISHED", usage=list(usage), **more)


def goose_says(*content: Any, **more: Any) -> dict[str, Any]:
    told = {"id": "m", "role": "assistant", "content": list(content), **more}
    return typed("Message", message=told)


def metadata(kind: str, **told: Any) -> dict[str, Any]:
    return typed(kind, messageMetadata=told)


COUNTED, CALLED = TokensUsed(7, 2), ToolCalled("a", "look", "a")
ENTRIES = ({**CAMEL, "cachedInputTokens": 4}, {"inputTokens": 1, "reasoningTokens": 3}, "x")
AG_UI: Rows = [
    (typed("RUN_STARTED"), Meaning(begins=True)),
    *(
        (typed(f"TEXT_MESSAGE_{kind}", **told), Meaning(text))
        for kind in ("CONTENT", "CHUNK")
        for told, text in (
            *(({"delta": "Hi"}, "Hi"), ({"delta": None}, ""), ({"delta": "x", "role": "user"}, "")),
            ({"delta": "a subagent's", "subagentRunId": "s1"}, ""),
        )
    ),
    *(
        (typed(kind, delta="Hm."), says(Reasoning("Hm.")))
        for kind in ("REASONING_MESSAGE_CONTENT", "REASONING_MESSAGE_CHUNK")
    ),
    (typed("THINKING_TEXT_MESSAGE_CONTENT", delta="Hm."), says(Reasoning("Hm."))),
    (
        typed("TOOL_CALL_START", toolCallId="a", toolCallName="look"),
        says(CALLED._replace(arguments="")),
    ),
    (typed("TOOL_CALL_ARGS", toolCallId="a", delta="{"), says(ToolArguments("a", "{"))),
    (
        typed("TOOL_CALL_CHUNK", toolCallId="a", toolCallName="look", delta="{}"),
        says(CALLED._replace(arguments=""), ToolArguments("a", "{}")),
    ),
    (typed("TOOL_CALL_CHUNK", delta="{}"), says(ToolArguments(None, "{}"))),
    (typed("TOOL_CALL_CHUNK"), NOTHING),
    (typed("TOOL_CALL_RESULT", toolCallId="a", content="cold"), says(ToolResult("a", "cold"))),
    (typed("TOOL_CALL_RESULT", content={"model": "Tesla"}), NOTHING),
    (typed("TOOL_CALL_END", toolCallId="a"), NOTHING),
    (typed("RUN_FINISHED", usage=CAMEL), says(TokensUsed(), end=True)),
    (finished(*ENTRIES), says(TokensUsed(8, 2, 4, 3), end=True)),
    (finished({**CAMEL, "outputTokens": 0}, {"outputTokens": 5}), says(TokensUsed(7, 5), end=True)),
    (finished(CAMEL, {"inputTokens": -1}), says(TokensUsed(-1, 2), end=True)),
    (finished(CAMEL, {"outputTokens": True}), says(TokensUsed(7, True), end=True)),
    (
        finished({"model": CLAUDE}, {"model": "b"}, {"model": CLAUDE}),
        says(TokensUsed(), end=True, models=(CLAUDE, "b")),
    ),
    *(
        (finished(outcome=it), says(TokensUsed(), end=True, finish="interrupt"))
        for it in ({"type": "interrupt"}, "interrupt")
    ),
    (finished(outcome={"type": 7}), says(TokensUsed(), end=True)),
    (
        finished({"model": CLAUDE}, outcome={"type": "cancelled"}),
        fails("the run was cancelled", TokensUsed(), models=(CLAUDE,)),
    ),
    (typed("RUN_ERROR", message="no credit", code="E7"), fails("no credit")),
    (typed("RUN_ERROR", code="E7"), fails("E7")),
    (typed("RUN_ERROR"), fails()),
]
AI_SDK: Rows = [
    *((typed("text-delta", **{it: "Hi"}), Meaning("Hi")) for it in ("delta", "textDelta", "text")),
    (typed("text-delta", textDelta="a", delta="b"), Meaning("a")),
    (metadata("start", model=CLAUDE), Meaning(models=(CLAUDE,))),
    (metadata("message-metadata", modelId=CLAUDE), Meaning(models=(CLAUDE,))),
    (metadata("message-metadata", usage=CAMEL), says(COUNTED)),
    (typed("message-metadata", messageMetadata={}, usage=CAMEL), says(COUNTED)),
    (typed("reasoning-delta", delta="Hm."), says(Reasoning("Hm."))),
    (typed("tool-input-start", **NAMED), says(CALLED)),
    *(
        (typed(kind, **NAMED, input=LOOK), says(CALLED._replace(arguments=LOOK)))
        for kind in ("tool-input-available", "tool-input-error")
    ),
    (typed("tool-input-delta", toolCallId="a", inputTextDelta="{"), says(ToolArguments("a", "{"))),
    (typed("tool-output-available", toolCallId="a", output=[1]), says(ToolResult("a", [1]))),
    (typed("tool-output-error", toolCallId="a", errorText="no"), says(ToolResult("a", "no"))),
    (
        typed("tool-input-start", toolName="files/delete", toolCallId="a"),
        says(ToolCalled("a", "files/delete", "a")),
    ),
    (typed("tool-input-start", toolName="look"), NOTHING),
    (typed("source-url", toolCallId="a", url="https://router.example"), NOTHING),
    *((typed(kind, model="Tesla", text="x"), NOTHING) for kind in ("data-car", "data-error")),
    (typed("error", errorText="no credit"), fails("no credit")),
    (("error", typed("error", errorText="no credit")), fails("no credit")),
    (typed("error", errorText=""), fails()),
    (typed("abort"), fails("the stream was aborted")),
    (typed("abort", reason="the user left"), fails("the user left")),
]
ANTHROPIC: Rows = [
    (
        typed("message_start", message={"model": CLAUDE, "usage": SNAKE}),
        says(TokensUsed(7, 2), begins=True, models=(CLAUDE,)),
    ),
    (typed("message_start", message={}), Meaning(begins=True)),
    (typed("content_block_delta", index=0, delta=SPOKEN), Meaning("Hi")),
    (("content_block_delta", typed("content_block_delta", delta=SPOKEN)), Meaning("Hi")),
    *(
        (typed("content_block_delta", index=0, delta=told), NOTHING)
        for told in (None, "x", typed("text_delta"), typed("text_delta", text=7))
    ),
    (delta(0, "thinking_delta", thinking="Hm.", text="Hm."), says(Reasoning("Hm."))),
    (delta(0, "signature_delta", signature="x"), NOTHING),
    (delta(7, "input_json_delta", partial_json="{"), says(ToolArguments(7, "{"))),
    (delta(None, "input_json_delta", partial_json="{"), says(ToolArguments(0, "{"))),
    (
        block(7, type="tool_use", id="a", name="look", input={}),
        says(ToolCalled(7, "look", "a", {}, new=True)),
    ),
    (
        block(2, type="tool_use", id="a", name="look", input=LOOK),
        says(ToolCalled(2, "look", "a", LOOK, new=True)),
    ),
    *(
        (
            block(2, type=kind, id="a", name="look", input={}),
            says(ToolCalled(2, "look", "a", {}, new=True)),
        )
        for kind in ("server_tool_use", "mcp_tool_use")
    ),
    (block(3, type="mcp_tool_result", tool_use_id="a"), NOTHING),
    (block(3, **REPLY), NOTHING),
    (typed("content_block_stop", index=0), NOTHING),
    (
        typed("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}),
        says(TokensUsed(None, 2), finish="end_turn"),
    ),
    *(
        (typed("message_delta", delta=told), NOTHING)
        for told in (None, {"stop_reason": None}, {"stop_reason": 7})
    ),
    (typed("message_stop"), Meaning(end=True, of_message=True)),
]
REQUEST = {"type": "toolRequest", "id": "a"}
ASKED = {"name": "look", "arguments": LOOK}
UNREAD = {"status": "error", "error": "no JSON"}
RETURNED = {"type": "toolResponse", "id": "a"}
GOOSE: Rows = [
    *((goose_says(typed("text", text=text)), Meaning(text)) for text in ("Hel", "lo")),
    (goose_says(REPLY, metadata={"userVisible": False}), NOTHING),
    (goose_says(REPLY, metadata={"userVisible": True}), Meaning("Hi")),
    (goose_says(REPLY, metadata=None), Meaning("Hi")),
    (goose_says(REPLY, role="user"), NOTHING),
    (goose_says(typed("thinking", thinking="Hm."), REPLY), says(Reasoning("Hm."), text="Hi")),
    *(
        (message("assistant", **REQUEST, toolCall=told), says(CALLED._replace(arguments=LOOK)))
        for told in (ASKED, {"status": "success", "value": ASKED})
    ),
    (
        message("assistant", **REQUEST, toolCall={"name": "look"}),
        says(CALLED._replace(arguments={})),
    ),
    (message("assistant", type="toolRequest", toolCall={"name": "look"}), NOTHING),
    (message("assistant", **REQUEST, toolCall=UNREAD), NOTHING),
    (
        goose_says({**REQUEST, "toolCall": UNREAD}, {**REQUEST, "toolCall": ASKED}),
        says(CALLED._replace(arguments=LOOK)),
    ),
    (message("user", **RETURNED, toolResult={"value": "cold"}), says(ToolResult("a", "cold"))),
    (message("user", **RETURNED, toolResult={"no": 7}), says(ToolResult("a", {"no": 7}))),
    (message("assistant", type="image", id="a", toolResult={}), NOTHING),
    (typed("Finish", reason="stop", token_state=CAMEL), says(COUNTED, end=True, finish="stop")),
    (
        typed("ModelChange", model=CLAUDE, mode="auto", token_state=CAMEL),
        says(COUNTED, models=(CLAUDE,)),
    ),
    (
        typed("Error", error="no credit", message="x", token_state=CAMEL),
        fails("no credit", COUNTED),
    ),
    (typed("Error", message="no credit"), fails("no credit")),
    (typed("Error"), fails()),
    (typed("Ping", token_state=CAMEL), says(COUNTED)),
]
PROGRESS = {"tool": "look", "label": "x", "status": "running"}
ANSWERED = [{"finish_reason": "tool_calls"}, {"role": "tool"}, {"finish_reason": "length"}]
HERMES: Rows = [
    ({"event": "run.started"}, Meaning(begins=True)),
    ({"event": "message.delta", "delta": "Hi"}, Meaning("Hi")),
    (("assistant.delta", {"delta": "Hi"}), Meaning("Hi")),
    *(({"event": "message.delta", "delta": it}, NOTHING) for it in (None, 7, ["x"], {"text": "x"})),
    ({"event": "reasoning.delta", "delta": "Hm."}, says(Reasoning("Hm."))),
    ({"event": "reasoning.available", "text": "Hm."}, says(Reasoning("Hm.", repeats=True))),
    (("assistant.completed", {"content": "Hi", "completed": True}), Meaning(whole="Hi")),
    (("assistant.completed", {"content": 7}), NOTHING),
    (
        {"event": "run.completed", "output": "Hi", "usage": SNAKE},
        says(COUNTED, end=True, whole="Hi"),
    ),
    *(
        (("run.completed", {"messages": told}), Meaning(end=True, finish=finish))
        for told, finish in (
            *((ANSWERED, "length"), (ANSWERED[:2], None), ([*ANSWERED, None], "length")),
            *(([], None), (ANSWERED[0], None)),
        )
    ),
    *(
        ((name, {"event": "run.failed", **told}), fails(error))
        for name in ("message", "run.failed")
        for told, error in (({"error": "HTTP 401"}, "HTTP 401"), ({}, NO_MESSAGE))
    ),
    ({"event": "run.cancelled"}, fails("the run was cancelled")),
    (
        {"event": "tool.started", "tool": "look", "preview": "Oslo"},
        says(ToolCalled("look", "look", new=True)),
    ),
    (
        ("tool.started", {"tool_name": "look", "args": LOOK}),
        says(ToolCalled("look", "look", None, LOOK, new=True)),
    ),
    (("tool.completed", {"tool_name": "look", "result": "cold"}), says(ToolResult("look", "cold"))),
    (("tool.completed", {"tool_name": "look", "error": "late"}), says(ToolResult("look", "late"))),
    ({"event": "tool.completed", "tool": "look", "error": False}, says(ToolResult("look", None))),
    ({"event": "tool.started", "tool": "_thinking"}, NOTHING),
    (("tool.progress", {"tool_name": "look", "delta": "..."}), NOTHING),
]
GENERIC: Rows = [
    # What comes between OpenAI's chunks is of Hermes, and does not say that an end will be told.
    *(
        (("hermes.tool.progress", {**PROGRESS, **told}), says(ToolCalled(key, "look", call_id)))
        for told, key, call_id in (
            *(({"toolCallId": "a"}, "a", "a"), ({"toolCallId": 7}, 7, "7"), ({}, "look", None)),
        )
    ),
    *(
        (
            ("hermes.tool.progress", {**PROGRESS, "status": "completed", **told}),
            says(ToolResult(key, None)),
        )
        for told, key in (({"toolCallId": "a"}, "a"), ({}, "look"))
    ),
    *(
        (("hermes.tool.progress", {**PROGRESS, "toolCallId": "a", **told}), NOTHING)
        for told in ({"status": "failed"}, {"tool": "_look"}, {"tool": None})
    ),
    # Everybody's words are not taken for the AI SDK's own, though it may add to them.
    (typed("finish", finishReason="content-filter"), Meaning(end=True, finish="content-filter")),
    (metadata("finish", model=CLAUDE, usage=CAMEL), says(COUNTED, end=True, models=(CLAUDE,))),
    (
        typed("finish", finishReason="error"),
        fails("it finished with 'error', and no message with it", end=True, finish="error"),
    ),
    *((typed(kind, content="x", model="Tesla"), NOTHING) for kind in ("start", "file")),
    (typed("token", content="x", model=CLAUDE), Meaning("x", models=(CLAUDE,))),
    (typed("Message", content="Hi"), Meaning("Hi")),
    (typed("Message", message="Hi"), Meaning("Hi")),
    # The name of an event alone is not enough.
    (("run.completed", "x"), NOTHING),
    ({"event": "subagent.progress", "text": "x", "delta": "x"}, NOTHING),
]
RUNTIMES: dict[str | None, tuple[Rows, Iterable[str]]] = {
    "AG-UI": (AG_UI, ui.AG_UI),
    "AI SDK": (AI_SDK, ui.AI_SDK | {"data-weather"}),
    "Anthropic": (ANTHROPIC, anthropic.TYPES),
    "Goose": (GOOSE, agents.GOOSE),
    "Hermes": (HERMES, agents.HERMES_RUN),
    None: (GENERIC, {"unheard_of", "subagent.progress"}),
}


@pytest.mark.parametrize("runtime", RUNTIMES, ids=str)
def test_what_a_frame_means(runtime: str | None) -> None:
    for frame, means in RUNTIMES[runtime][0]:
        assert exact(read_one(frame)) == exact(means._replace(runtime=runtime)), frame


@pytest.mark.parametrize("runtime", RUNTIMES, ids=str)
def test_all_its_other_kinds_say_nothing(runtime: str | None) -> None:
    rows, kinds = RUNTIMES[runtime]
    told = dict.fromkeys(("delta", "content", "text", "message", "error", "data", "errorText"), "x")
    frames = [frame[1] if isinstance(frame, tuple) else frame for frame, _ in rows]
    said = {frame.get("type") or frame.get("event") for frame in frames if frame != "x"}
    said |= {frame[0] for frame, _ in rows if isinstance(frame, tuple)}
    key = "event" if runtime == "Hermes" else "type"
    for kind in set(kinds) - said:
        assert read_one({key: kind, **told}) == Meaning(runtime=runtime), kind


KEYED: dict[str, Callable[[object], Any]] = {
    "anthropic": lambda key: delta(key, "input_json_delta", partial_json="{"),
    "openai": lambda key: chunk({"tool_calls": [{"index": key, "function": {"name": "look"}}]}),
    "responses": lambda key: typed("response.function_call_arguments.delta", output_index=key),
    "ag-ui": lambda key: typed("TOOL_CALL_START", toolCallId=key, toolCallName="look"),
    "ai-sdk": lambda key: typed("tool-input-start", toolCallId=key, toolName="look"),
    "goose": lambda key: message("user", type="toolResponse", id=key, toolResult={}),
    "hermes": lambda key: ("hermes.tool.progress", {**PROGRESS, "toolCallId": key}),
}


@pytest.mark.parametrize("runtime", KEYED)
def test_a_key_that_is_neither_a_text_nor_a_number_is_none(runtime: str) -> None:
    frame = KEYED[runtime]
    for key in (True, 1.5, ["a"], {"a": 1}):
        assert read_one(frame(key)) == read_one(frame(None)) != read_one(frame("a")), key
