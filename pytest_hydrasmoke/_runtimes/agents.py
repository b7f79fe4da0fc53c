"""Hermes Agent and Goose, in words of their own.

Hermes sends run events, with their kind in the data, or session events, named. Both repeat the
reply at their end, and run events send pieces of it once more as reasoning: the deltas have the
text. Only where there are none, since the model's provider did not stream or sent no reply at all,
the end has the agent's text.

Goose sends messages, whole or in pieces under one id, `Ping`, and `Finish` or `Error`.
"""

from __future__ import annotations

from collections.abc import Iterator

from .generic import text_of
from .meaning import NO_MESSAGE, Meaning, Part, Reasoning, ToolCalled, ToolResult
from .values import (
    Frame,
    frame_of,
    frames_in,
    key_in,
    message_of,
    models_in,
    text_in,
    tokens_in,
    word_in,
)

_RUN = """
    run.started run.completed run.failed run.cancelled message.started message.delta
    message.completed tool.started tool.progress tool.completed tool.failed reasoning.available
    reasoning.delta approval.request approval.responded
"""
HERMES_RUN = frozenset(_RUN.split())
"""Values of `event` in the data of Hermes' run events."""
HERMES_NAMES = (HERMES_RUN - {"message.delta"}) | {"assistant.delta", "assistant.completed"}
"""The names of its session events."""
HERMES_PROGRESS = "hermes.tool.progress"
"""The name of an event of it that comes between OpenAI's chunks."""
GOOSE = frozenset(
    {"Message", "Finish", "Error", "Ping", "ModelChange", "Notification", "UpdateConversation"}
)
"""Goose's types."""


def read_hermes(kind: str, frame: Frame) -> Meaning:
    """Return what an event of this kind means."""
    match kind:
        case "run.started":
            return Meaning(begins=True)
        case "message.delta" | "assistant.delta":
            return Meaning(text_in(frame.get("delta")))
        case "assistant.completed":
            return Meaning(whole=text_in(frame.get("content")))
        case "run.completed":
            # A session has its finish reason in the messages that it keeps.
            messages = list(frames_in(frame.get("messages")))
            finish = word_in(messages[-1].get("finish_reason")) if messages else None
            parts = tokens_in(frame.get("usage"), "input_tokens", "output_tokens")
            return Meaning(end=True, finish=finish, whole=text_in(frame.get("output")), parts=parts)
        case "run.failed" | "run.cancelled":
            wordless = "the run was cancelled" if kind == "run.cancelled" else NO_MESSAGE
            return Meaning(error=message_of(frame.get("error")) or wordless)
        case "reasoning.delta" | "reasoning.available":
            thought = text_in(frame.get("delta")) or text_in(frame.get("text"))
            return Meaning(parts=(Reasoning(thought, repeats=kind == "reasoning.available"),))
        case _:
            return Meaning(parts=tuple(_hermes_tool(kind, frame)))


def _hermes_tool(kind: str, frame: Frame) -> Iterator[Part]:
    name = word_in(frame.get("tool")) or word_in(frame.get("tool_name"))
    # A name with a leading underscore is internal to the runtime, and not a `word_in`.
    if name is not None and kind == "tool.started":
        yield ToolCalled(name, name, arguments=frame.get("args"), new=True)
    elif name is not None and kind == "tool.completed":
        # `error` is sent for a successful tool too, as false.
        yield ToolResult(name, frame.get("result", frame.get("error") or None))


def read_progress(frame: Frame) -> Meaning:
    """Return what an event named `HERMES_PROGRESS` means."""
    name, key = word_in(frame.get("tool")), key_in(frame.get("toolCallId"))
    if name is None or frame.get("status") != "running":
        return Meaning()
    called = ToolCalled(name, name) if key is None else ToolCalled(key, name, str(key))
    return Meaning(parts=(called,))


def read_goose(kind: str, frame: Frame) -> Meaning | None:
    """Return what an object of this type means; None for another runtime's `Message`."""
    tokens = tokens_in(frame.get("token_state"), "inputTokens", "outputTokens")
    match kind:
        case "Message":
            message = frame_of(frame.get("message"))
            return None if message is None else _message(message, tokens)
        case "Finish":
            return Meaning(end=True, finish=word_in(frame.get("reason")), parts=tokens)
        case "ModelChange":
            return Meaning(parts=tokens, models=models_in(frame))
        case "Error":
            error = message_of(frame.get("error")) or message_of(frame.get("message"))
            return Meaning(error=error or NO_MESSAGE, parts=tokens)
        case _:
            return Meaning(parts=tokens)


def _message(message: Frame, tokens: tuple[Part, ...]) -> Meaning:
    metadata = frame_of(message.get("metadata")) or {}
    # A message may be for the agent alone, such as a summary of the conversation.
    text = "" if metadata.get("userVisible") is False else text_of(message)
    return Meaning(text, parts=(*_content(message), *tokens))


def _content(message: Frame) -> Iterator[Part]:
    for content in frames_in(message.get("content")):
        key = key_in(content.get("id"))
        if content.get("type") == "thinking":
            yield Reasoning(text_in(content.get("thinking")))
        elif content.get("type") == "toolRequest" and key is not None:
            call = frame_of(content.get("toolCall")) or {}
            value = frame_of(call.get("value")) or call
            yield ToolCalled(key, word_in(value.get("name")), str(key), value.get("arguments"))
        elif content.get("type") == "toolResponse" and key is not None:
            result = frame_of(content.get("toolResult")) or {}
            yield ToolResult(key, result.get("value", result))
