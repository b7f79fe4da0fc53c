"""The AI SDK's UI message stream: parts of a message, then `finish` and `[DONE]`.

Its `start`, `finish` and `file` are common words, and are read by the generic rules; only what they
tell beside that, of models and tokens, is read here.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import generic
from .generic import text_of
from .meaning import NO_MESSAGE, Meaning, Part, Reasoning, ToolArguments, ToolCalled, ToolResult
from .values import Frame, frame_of, key_in, message_of, models_in, text_in, tokens_in, word_in

NAME = "AI SDK"

_TYPES = """
    text-start text-delta text-end reasoning-start reasoning-delta reasoning-end
    tool-input-start tool-input-delta tool-input-available tool-input-error
    tool-output-available tool-output-error source-url source-document start-step finish-step
    message-metadata abort start finish error
"""
TYPES = frozenset(_TYPES.split())
DATA = "data-"
"""Prefix of the types of an application's own parts, such as `data-weather`."""


def read(kind: str, frame: Frame) -> Meaning | None:
    """Return what an object of this type means; None if it is another runtime's."""
    match kind:
        case "text-delta":
            # Earlier protocols have other names for it.
            return Meaning(text_in(frame.get("textDelta")) or text_of(frame), runtime=NAME)
        case "start" if "messageMetadata" not in frame:
            return None
        case "finish":
            found = generic.read(kind, frame)
            return found._replace(parts=_tokens(frame), models=models_in(_metadata(frame)))
        case "error" if "errorText" not in frame:
            return None
        case "error":
            return Meaning(error=message_of(frame["errorText"]) or NO_MESSAGE, runtime=NAME)
        case "abort":
            error = message_of(frame.get("reason")) or "the stream was aborted"
            return Meaning(error=error, runtime=NAME)
        case "start" | "message-metadata":
            models = models_in(_metadata(frame))
            return Meaning(parts=_tokens(frame), models=models, runtime=NAME)
        case "reasoning-delta":
            return Meaning(parts=(Reasoning(text_in(frame.get("delta"))),), runtime=NAME)
        case _:
            return Meaning(parts=tuple(_tool(kind, frame)), runtime=NAME)


def _metadata(frame: Frame) -> Frame:
    return frame_of(frame.get("messageMetadata")) or {}


def _tokens(frame: Frame) -> tuple[Part, ...]:
    usage = frame_of(_metadata(frame).get("usage")) or frame.get("usage")
    return tokens_in(usage, "inputTokens", "outputTokens")


def _tool(kind: str, frame: Frame) -> Iterator[Part]:
    key = key_in(frame.get("toolCallId"))
    if key is None:
        return
    if kind in ("tool-input-start", "tool-input-available", "tool-input-error"):
        yield ToolCalled(key, word_in(frame.get("toolName")), str(key), frame.get("input"))
    elif kind == "tool-input-delta":
        yield ToolArguments(key, text_in(frame.get("inputTextDelta")))
    elif kind == "tool-output-available":
        yield ToolResult(key, frame.get("output"))
    elif kind == "tool-output-error":
        yield ToolResult(key, frame.get("errorText"))
