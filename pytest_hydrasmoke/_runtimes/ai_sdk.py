"""The AI SDK's UI message stream: parts of a message, then `finish` and `[DONE]`."""

from __future__ import annotations

from .meaning import NO_MESSAGE, Meaning
from .values import Frame, message_of, text_in, word_in

_TYPES = """
    start finish abort text-start text-delta text-end reasoning-start reasoning-delta
    reasoning-end tool-input-start tool-input-delta tool-input-available tool-input-error
    tool-output-available tool-output-error source-url source-document file start-step
    finish-step message-metadata
"""
TYPES = frozenset(_TYPES.split())


def read(kind: str, frame: Frame) -> Meaning:
    """Return what an object of this type means."""
    if kind == "text-delta":
        # An earlier protocol has it under another name.
        return Meaning(text_in(frame.get("delta", frame.get("textDelta"))), always_ends=True)
    if kind == "finish":
        return Meaning(end=True, finish=word_in(frame.get("finishReason")), always_ends=True)
    if kind == "abort":
        error = message_of(frame.get("reason")) or "the stream was aborted"
        return Meaning(error=error, always_ends=True)
    return Meaning(always_ends=True)


def read_error(frame: Frame) -> Meaning | None:
    """Return what an object of the type `error` means; None where another runtime has sent it."""
    if "errorText" not in frame:
        return None
    return Meaning(error=message_of(frame["errorText"]) or NO_MESSAGE, always_ends=True)
