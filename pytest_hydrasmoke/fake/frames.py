"""A turn's events, and how Anthropic, Goose, AG-UI, the AI SDK and three simple forms send them.

A runtime is a function that returns one turn's frames. It knows what is sent, and nothing of
readers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .records import Json
from .replies import Fields, Speech, as_json, pieces

MISHAP = "the agent has failed"


class Event(NamedTuple):
    data: str
    name: str | None = None
    comment: str | None = None
    """What follows it, such as a keep-alive."""


DONE = Event("[DONE]")


class Frames(NamedTuple):
    """One turn's events."""

    spoken: Sequence[Event]
    """All events to the last of the text, and one more of text, which says `AGAIN`."""
    closing: Sequence[Event]
    """The runtime's terminal events."""
    error: Sequence[Event]
    """The runtime's events of a failed agent."""


def of_type(kind: str, **fields: Json) -> Event:
    """Return an event with an object of this `type`."""
    return Event(as_json({"type": kind, **fields}))


def deltas(
    kind: str, words: Iterable[str], key: str = "delta", /, **fields: Json
) -> Iterable[Event]:
    """Return such an event for each piece of a text."""
    return (of_type(kind, **fields, **{key: piece}) for piece in words)


def named(kind: str, **fields: Json) -> Event:
    """Return an event with the `type` as its name too."""
    return of_type(kind, **fields)._replace(name=kind)


def anthropic(said: Speech) -> Frames:
    """Send blocks, `message_start` to `message_stop`, without results of tools."""
    message: Fields = {"id": "msg_smoke", "type": "message", "role": "assistant"}
    message |= {"model": "smoke", "content": [], "stop_reason": None, "stop_sequence": None}
    message["usage"] = {**said.usage("input_tokens"), "output_tokens": 1}
    spoken = [named("message_start", message=message), named("ping")]
    for index, (block, parts) in enumerate(_blocks(said)):
        spoken.append(named("content_block_start", index=index, content_block=block))
        spoken += [named("content_block_delta", index=index, delta=it) for it in parts]
        spoken.append(named("content_block_stop", index=index))
    ended: Fields = {"stop_reason": "end_turn", "stop_sequence": None}
    usage: Fields = {"output_tokens": said.tokens[1]}
    return Frames(
        spoken[:-1],
        [spoken[-1], named("message_delta", delta=ended, usage=usage), named("message_stop")],
        error=[named("error", error={"type": "api_error", "message": MISHAP})],
    )


def _blocks(said: Speech) -> Iterator[tuple[Fields, Sequence[Fields]]]:
    """Yield each block as it begins, and what is added to it: thinking, tools, and the text."""
    if said.reasoning:
        thought = _parts("thinking_delta", "thinking", pieces(said.reasoning))
        thought.append({"type": "signature_delta", "signature": "c21va2U="})
        yield {"type": "thinking", "thinking": "", "signature": ""}, thought
    for call_id, tool in said.calls:
        begun: Fields = {"type": "tool_use", "id": call_id, "name": tool.name, "input": {}}
        yield begun, _parts("input_json_delta", "partial_json", pieces(tool.written))
    yield {"type": "text", "text": ""}, _parts("text_delta", "text", said.words)


def _parts(kind: str, key: str, words: Sequence[str]) -> list[Fields]:
    return [{"type": kind, key: piece} for piece in words]


def goose(said: Speech) -> Frames:
    """Send messages in pieces under one id, with tool results as the user's, and `Finish`."""
    tokens = said.usage("inputTokens", "outputTokens", "totalTokens")

    def message(role: str, **content: Json) -> Event:
        it: Fields = {"id": f"msg_{role}", "role": role, "created": 0, "content": [content]}
        it["metadata"] = {"userVisible": True, "agentVisible": True}
        return of_type("Message", message=it, token_state=tokens)

    def success(**value: Json) -> Fields:
        return {"status": "success", "value": value}

    spoken = [of_type("Ping")]
    for piece in pieces(said.reasoning):
        spoken.append(message("assistant", type="thinking", thinking=piece, signature=""))
    for call_id, tool in said.calls:
        # It is sent once it is complete, unlike text.
        call = success(name=tool.name, arguments=tool.arguments)
        spoken.append(message("assistant", type="toolRequest", id=call_id, toolCall=call))
        if tool.result is not None:
            content: Fields = {"type": "text", "text": tool.result_text}
            result = success(content=[content], isError=False)
            spoken.append(message("user", type="toolResponse", id=call_id, toolResult=result))
    return Frames(
        [*spoken, *(message("assistant", type="text", text=piece) for piece in said.words)],
        closing=[of_type("Finish", reason="stop", token_state=tokens)],
        error=[of_type("Error", error=MISHAP)],
    )


def ag_ui(said: Speech) -> Frames:
    """Send `RUN_STARTED` to `RUN_FINISHED`; its usage is a list, as with several models."""
    run: Fields = {"threadId": "thread_smoke", "runId": "run_smoke"}
    reply: Fields = {"messageId": "msg_smoke"}
    spoken = [of_type("RUN_STARTED", **run)]
    if said.reasoning:
        thought: Fields = {"messageId": "msg_thought"}
        spoken += [
            of_type("REASONING_START", **thought),
            of_type("REASONING_MESSAGE_START", **thought, role="reasoning"),
            *deltas("REASONING_MESSAGE_CONTENT", pieces(said.reasoning), **thought),
            of_type("REASONING_MESSAGE_END", **thought),
            of_type("REASONING_END", **thought),
        ]
    for call_id, tool in said.calls:
        call: Fields = {"toolCallId": call_id}
        spoken.append(of_type("TOOL_CALL_START", **call, toolCallName=tool.name))
        spoken += deltas("TOOL_CALL_ARGS", pieces(tool.written), **call)
        spoken.append(of_type("TOOL_CALL_END", **call))
        if tool.result is not None:
            result: Fields = {**call, "role": "tool", "content": tool.result_text}
            spoken.append(of_type("TOOL_CALL_RESULT", messageId=f"msg_{call_id}", **result))
    spoken.append(of_type("TEXT_MESSAGE_START", **reply, role="assistant"))
    usage = [said.usage("inputTokens", "outputTokens")]
    return Frames(
        [*spoken, *deltas("TEXT_MESSAGE_CONTENT", said.words, **reply)],
        closing=[
            of_type("TEXT_MESSAGE_END", **reply),
            of_type("RUN_FINISHED", **run, usage=usage),
        ],
        error=[of_type("RUN_ERROR", message=MISHAP, code="agent_error")],
    )


def ai_sdk(said: Speech) -> Frames:
    """Send a UI message stream; its usage is in the message's metadata, where servers put it."""
    spoken = [of_type("start", messageId="msg_smoke"), of_type("start-step")]
    if said.reasoning:
        spoken.append(of_type("reasoning-start", id="thought_smoke"))
        spoken += deltas("reasoning-delta", pieces(said.reasoning), id="thought_smoke")
        spoken.append(of_type("reasoning-end", id="thought_smoke"))
    for call_id, tool in said.calls:
        call: Fields = {"toolCallId": call_id}
        both: Fields = {**call, "toolName": tool.name}
        spoken.append(of_type("tool-input-start", **both))
        spoken += deltas("tool-input-delta", pieces(tool.written), "inputTextDelta", **call)
        spoken.append(of_type("tool-input-available", **both, input=tool.arguments))
        if tool.result is not None:
            spoken.append(of_type("tool-output-available", **call, output=tool.result))
    if said.tools:
        # The model's answer to the results is a step of its own.
        spoken += [of_type("finish-step"), of_type("start-step")]
    spoken.append(of_type("text-start", id="text_smoke"))
    tokens: Fields = {"usage": said.usage("inputTokens", "outputTokens")}
    return Frames(
        [*spoken, *deltas("text-delta", said.words, id="text_smoke")],
        closing=[
            of_type("text-end", id="text_smoke"),
            of_type("finish-step"),
            of_type("finish", finishReason="stop", messageMetadata=tokens),
            DONE,
        ],
        error=[of_type("error", errorText=MISHAP), DONE],
    )


def objects(said: Speech) -> Frames:
    """Send objects with `type` and `content`."""
    return Frames(
        [of_type(kind, content=content) for kind, content in _contents(said)],
        closing=[of_type("done")],
        error=[of_type("error", content=MISHAP)],
    )


def named_events(said: Speech) -> Frames:
    """Send named events; that of the end is not empty, or a compliant reader would not see it."""
    return Frames(
        [Event(str(it) if kind == "token" else as_json(it), kind) for kind, it in _contents(said)],
        closing=[Event("{}", "done")],
        error=[Event(MISHAP, "error")],
    )


def text(said: Speech) -> Frames:
    """Send the reply alone: this format has no place for more."""
    return Frames([Event(it) for it in said.words], [DONE], error=[Event(MISHAP, "error")])


def _contents(said: Speech) -> Iterator[tuple[str, Json]]:
    """Yield what has a kind, without a name for its form: readers must not take all for text."""
    for piece in pieces(said.reasoning):
        yield "thinking", piece
    for call_id, tool in said.calls:
        yield "tool_call", {"id": call_id, "name": tool.name, "arguments": tool.arguments}
        if tool.result is not None:
            yield "tool_result", {"id": call_id, "content": tool.result}
    for piece in said.words:
        yield "token", piece
