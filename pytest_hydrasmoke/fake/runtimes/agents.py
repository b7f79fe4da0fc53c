"""Anthropic's messages, Goose, AG-UI, the AI SDK, and three simple forms without a name."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_hydrasmoke.fake.records import Json

from .frames import (
    AGAIN,
    DONE,
    MISHAP,
    Event,
    Fields,
    Frames,
    Said,
    as_json,
    deltas,
    named,
    of_type,
    pieces,
)

# Anthropic: blocks of thinking, tools and text, `message_start` to `message_stop`


def anthropic(said: Said) -> Frames:
    """Return a turn's frames, without results of tools."""
    last = len(said.tools) + bool(said.reasoning)
    _, written, _ = said.tokens
    ended: Json = {"stop_reason": "end_turn", "stop_sequence": None}
    return Frames(
        spoken=[
            _message_start(said),
            named("ping"),
            *_blocks(said),
            _open(last, type="text", text=""),
            *(_delta(last, type="text_delta", text=piece) for piece in pieces(said.text)),
        ],
        closing=[
            _close(last),
            named("message_delta", delta=ended, usage={"output_tokens": written}),
            named("message_stop"),
        ],
        error=[named("error", error={"type": "api_error", "message": MISHAP})],
        more=_delta(last, type="text_delta", text=AGAIN),
    )


def _message_start(said: Said) -> Event:
    message: Fields = {"id": "msg_smoke", "type": "message", "role": "assistant"}
    message |= {"model": "smoke", "content": [], "stop_reason": None, "stop_sequence": None}
    usage: Json = {**said.usage("input_tokens"), "output_tokens": 1}
    return named("message_start", message={**message, "usage": usage})


def _blocks(said: Said) -> Iterator[Event]:
    if said.reasoning:
        yield _open(0, type="thinking", thinking="", signature="")
        for piece in pieces(said.reasoning):
            yield _delta(0, type="thinking_delta", thinking=piece)
        yield _delta(0, type="signature_delta", signature="c21va2U=")
        yield _close(0)
    for index, tool in enumerate(said.tools, start=bool(said.reasoning)):
        yield _open(index, type="tool_use", id=tool.id, name=tool.name, input={})
        for piece in pieces(tool.arguments_json):
            yield _delta(index, type="input_json_delta", partial_json=piece)
        yield _close(index)


def _open(index: int, **block: Json) -> Event:
    return named("content_block_start", index=index, content_block=block)


def _delta(index: int, **delta: Json) -> Event:
    return named("content_block_delta", index=index, delta=delta)


def _close(index: int) -> Event:
    return named("content_block_stop", index=index)


# Goose: messages in pieces under one id, with tool results as the user's, and `Finish`


def goose(said: Said) -> Frames:
    tokens = said.usage("inputTokens", "outputTokens", "totalTokens")

    def message(role: str, **content: Json) -> Event:
        it: Fields = {"id": f"msg_{role}", "role": role, "created": 0, "content": [content]}
        it["metadata"] = {"userVisible": True, "agentVisible": True}
        return of_type("Message", message=it, token_state=tokens)

    def tools() -> Iterator[Event]:
        for tool in said.tools:
            call = _success({"name": tool.name, "arguments": tool.arguments})
            # It is sent once it is complete, unlike text.
            yield message("assistant", type="toolRequest", id=tool.id, toolCall=call)
            if tool.result is not None:
                content: Json = [{"type": "text", "text": tool.result_text}]
                result = _success({"content": content, "isError": False})
                yield message("user", type="toolResponse", id=tool.id, toolResult=result)

    thoughts = (
        message("assistant", type="thinking", thinking=piece, signature="")
        for piece in pieces(said.reasoning)
    )
    text = (message("assistant", type="text", text=piece) for piece in pieces(said.text))
    return Frames(
        spoken=[of_type("Ping"), *thoughts, *tools(), *text],
        closing=[of_type("Finish", reason="stop", token_state=tokens)],
        error=[of_type("Error", error=MISHAP)],
        more=message("assistant", type="text", text=AGAIN),
    )


def _success(value: Json) -> Json:
    return {"status": "success", "value": value}


# AG-UI: objects with types in capitals, `RUN_STARTED` to `RUN_FINISHED`


def ag_ui(said: Said) -> Frames:
    """Return a turn's frames; its usage is a list, as with several models."""
    run: Fields = {"threadId": "thread_smoke", "runId": "run_smoke"}
    reply: Fields = {"messageId": "msg_smoke"}
    usage: Json = [said.usage("inputTokens", "outputTokens")]
    return Frames(
        spoken=[
            of_type("RUN_STARTED", **run),
            *_ag_ui_aside(said),
            of_type("TEXT_MESSAGE_START", **reply, role="assistant"),
            *deltas("TEXT_MESSAGE_CONTENT", said.text, messageId="msg_smoke"),
        ],
        closing=[
            of_type("TEXT_MESSAGE_END", **reply),
            of_type("RUN_FINISHED", **run, usage=usage),
        ],
        error=[of_type("RUN_ERROR", message=MISHAP, code="agent_error")],
        more=of_type("TEXT_MESSAGE_CONTENT", **reply, delta=AGAIN),
    )


def _ag_ui_aside(said: Said) -> Iterator[Event]:
    if said.reasoning:
        thought: Fields = {"messageId": "msg_thought"}
        yield of_type("REASONING_START", **thought)
        yield of_type("REASONING_MESSAGE_START", **thought, role="reasoning")
        yield from deltas("REASONING_MESSAGE_CONTENT", said.reasoning, messageId="msg_thought")
        yield of_type("REASONING_MESSAGE_END", **thought)
        yield of_type("REASONING_END", **thought)
    for tool in said.tools:
        call: Fields = {"toolCallId": tool.id}
        yield of_type("TOOL_CALL_START", **call, toolCallName=tool.name)
        yield from deltas("TOOL_CALL_ARGS", tool.arguments_json, toolCallId=tool.id)
        yield of_type("TOOL_CALL_END", **call)
        if tool.result is not None:
            result: Fields = {**call, "role": "tool", "content": tool.result_text}
            yield of_type("TOOL_CALL_RESULT", messageId=f"msg_{tool.id}", **result)


# The AI SDK's UI message stream: parts of a message in steps, then `finish` and `[DONE]`


def ai_sdk(said: Said) -> Frames:
    """Return a turn's frames; its usage is in the message's metadata, where servers put it."""
    tokens: Json = {"usage": said.usage("inputTokens", "outputTokens")}
    return Frames(
        spoken=[
            of_type("start", messageId="msg_smoke"),
            of_type("start-step"),
            *_ai_sdk_aside(said),
            of_type("text-start", id="text_smoke"),
            *deltas("text-delta", said.text, id="text_smoke"),
        ],
        closing=[
            of_type("text-end", id="text_smoke"),
            of_type("finish-step"),
            of_type("finish", finishReason="stop", messageMetadata=tokens),
            DONE,
        ],
        error=[of_type("error", errorText=MISHAP), DONE],
        more=of_type("text-delta", id="text_smoke", delta=AGAIN),
    )


def _ai_sdk_aside(said: Said) -> Iterator[Event]:
    if said.reasoning:
        yield of_type("reasoning-start", id="thought_smoke")
        yield from deltas("reasoning-delta", said.reasoning, id="thought_smoke")
        yield of_type("reasoning-end", id="thought_smoke")
    for tool in said.tools:
        call: Fields = {"toolCallId": tool.id, "toolName": tool.name}
        text = tool.arguments_json
        yield of_type("tool-input-start", **call)
        yield from deltas("tool-input-delta", text, "inputTextDelta", toolCallId=tool.id)
        yield of_type("tool-input-available", **call, input=tool.arguments)
        if tool.result is not None:
            yield of_type("tool-output-available", toolCallId=tool.id, output=tool.result)
    if said.tools:
        # The model's answer to the results is a step of its own.
        yield of_type("finish-step")
        yield of_type("start-step")


# Runtimes without a name: objects with `type` and `content`, named events, plain text


def objects(said: Said) -> Frames:
    aside = (of_type(kind, content=content) for kind, content in _aside(said))
    return Frames(
        spoken=[*aside, *deltas("token", said.text, "content")],
        closing=[of_type("done")],
        error=[of_type("error", content=MISHAP)],
        more=of_type("token", content=AGAIN),
    )


def named_events(said: Said) -> Frames:
    aside = (Event(as_json(content), kind) for kind, content in _aside(said))
    return Frames(
        spoken=[*aside, *(Event(piece, "token") for piece in pieces(said.text))],
        # Not empty: a compliant reader never sees an event without data.
        closing=[Event("{}", "done")],
        error=[Event(MISHAP, "error")],
        more=Event(AGAIN, "token"),
    )


def text(said: Said) -> Frames:
    """Return the frames of the reply alone: this format has no place for more."""
    spoken = map(Event, pieces(said.text))
    return Frames(spoken, closing=[DONE], error=[Event(MISHAP, "error")], more=Event(AGAIN))


def _aside(said: Said) -> Iterator[tuple[str, Json]]:
    """Yield the content beside the reply, which readers must not take for text."""
    for piece in pieces(said.reasoning):
        yield "thinking", piece
    for tool in said.tools:
        yield "tool_call", {"id": tool.id, "name": tool.name, "arguments": tool.arguments}
        if tool.result is not None:
            yield "tool_result", {"id": tool.id, "content": tool.result}
