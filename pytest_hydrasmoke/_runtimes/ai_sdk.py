"""The AI SDK's UI message stream: parts of a message, then `finish` and `[DONE]`.

Its `start`, `finish` and `file` are common words, and are read by the generic rules.
"""

from __future__ import annotations

from collections.abc import Iterator

from .generic import text_of
from .meaning import NO_MESSAGE, Meaning
from .parts import Part, Reasoning, Tokens, ToolArguments, ToolCalled, ToolResult
from .values import Frame, frame_of, key_in, message_of, text_in, word_in

NAME = "AI SDK"

_TYPES = """
    text-start text-delta text-end reasoning-start reasoning-delta reasoning-end
    tool-input-start tool-input-delta tool-input-available tool-input-error
    tool-output-available tool-output-error source-url source-document start-step finish-step
    message-metadata abort
"""
TYPES = frozenset(_TYPES.split())
DATA = "data-"
"""Prefix of the types of an application's own parts, such as `data-weather`."""


def read(kind: str, frame: Frame) -> Meaning:
    """Return what an object of this type means."""
    if kind == "text-delta":
        # Earlier protocols have other names for it.
        return Meaning(text_in(frame.get("textDelta")) or text_of(frame), runtime=NAME)
    if kind == "abort":
        error = message_of(frame.get("reason")) or "the stream was aborted"
        return Meaning(error=error, runtime=NAME)
    return Meaning(runtime=NAME)


def read_error(frame: Frame) -> Meaning | None:
    """Return what an object of the type `error` means; None if it is another runtime's."""
    if "errorText" not in frame:
        return None
    return Meaning(error=message_of(frame["errorText"]) or NO_MESSAGE, runtime=NAME)


def parts(kind: str, frame: Frame) -> Iterator[Part]:
    """Yield the content of an object of this type beside text."""
    key = key_in(frame.get("toolCallId"))
    if kind == "reasoning-delta":
        yield Reasoning(text_in(frame.get("delta")))
    elif kind in ("finish", "message-metadata"):
        metadata = frame_of(frame.get("messageMetadata")) or {}
        usage = frame_of(metadata.get("usage")) or frame_of(frame.get("usage"))
        if usage is not None:
            yield Tokens(usage.get("inputTokens"), usage.get("outputTokens"))
    elif key is None:
        return
    elif kind in ("tool-input-start", "tool-input-available", "tool-input-error"):
        yield ToolCalled(key, word_in(frame.get("toolName")), str(key), frame.get("input"))
    elif kind == "tool-input-delta":
        yield ToolArguments(key, text_in(frame.get("inputTextDelta")))
    elif kind == "tool-output-available":
        yield ToolResult(key, frame.get("output"))
    elif kind == "tool-output-error":
        yield ToolResult(key, frame.get("errorText"))
