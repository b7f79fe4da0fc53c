"""Goose: messages, whole or in pieces under one id, `Ping`, and `Finish` or `Error`."""

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

NAME = "Goose"

TYPES = frozenset(
    {"Message", "Finish", "Error", "Ping", "ModelChange", "Notification", "UpdateConversation"}
)


def read(kind: str, frame: Frame) -> Meaning | None:
    """Return what an object of this type means; None for another runtime's `Message`."""
    tokens = tokens_in(frame.get("token_state"), "inputTokens", "outputTokens")
    if kind == "Message":
        message = frame_of(frame.get("message"))
        return None if message is None else _message(message, tokens)
    if kind == "Finish":
        return Meaning(end=True, finish=word_in(frame.get("reason")), parts=tokens, runtime=NAME)
    if kind == "ModelChange":
        return Meaning(parts=tokens, models=models_in(frame), runtime=NAME)
    if kind == "Error":
        error = message_of(frame.get("error")) or message_of(frame.get("message"))
        return Meaning(error=error or NO_MESSAGE, parts=tokens, runtime=NAME)
    return Meaning(parts=tokens, runtime=NAME)


def _message(message: Frame, tokens: tuple[Part, ...]) -> Meaning:
    metadata = frame_of(message.get("metadata")) or {}
    # A message may be for the agent alone, such as a summary of the conversation.
    text = "" if metadata.get("userVisible") is False else text_of(message)
    return Meaning(text, parts=(*_parts(message), *tokens), runtime=NAME)


def _parts(message: Frame) -> Iterator[Part]:
    for content in frames_in(message.get("content")):
        key = key_in(content.get("id"))
        if content.get("type") == "thinking":
            yield Reasoning(text_in(content.get("thinking")))
        elif content.get("type") == "toolRequest" and key is not None:
            call = frame_of(content.get("toolCall")) or {}
            value = frame_of(call.get("value")) or call
            name = word_in(value.get("name"))
            yield ToolCalled(key, name, str(key), value.get("arguments"))
        elif content.get("type") == "toolResponse" and key is not None:
            result = frame_of(content.get("toolResult")) or {}
            yield ToolResult(key, result.get("value", result))
