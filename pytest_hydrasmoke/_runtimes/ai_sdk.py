"""The AI SDK's UI message stream: parts of a message, then `finish` and `[DONE]`.

Its `start`, `finish` and `file` are everybody's words, and are read as everybody's.
"""

from __future__ import annotations

from .generic import text_of
from .meaning import NO_MESSAGE, Meaning
from .values import Frame, message_of, text_in

_TYPES = """
    text-start text-delta text-end reasoning-start reasoning-delta reasoning-end
    tool-input-start tool-input-delta tool-input-available tool-input-error
    tool-output-available tool-output-error source-url source-document start-step finish-step
    message-metadata abort
"""
TYPES = frozenset(_TYPES.split())
DATA = "data-"
"""What the types of an application's own parts begin with, such as `data-weather`."""


def read(kind: str, frame: Frame) -> Meaning:
    """Return what an object of this type means."""
    if kind == "text-delta":
        # Earlier protocols have it under other names.
        return Meaning(text_in(frame.get("textDelta")) or text_of(frame), always_ends=True)
    if kind == "abort":
        error = message_of(frame.get("reason")) or "the stream was aborted"
        return Meaning(error=error, always_ends=True)
    return Meaning(always_ends=True)


def read_error(frame: Frame) -> Meaning | None:
    """Return what an object of the type `error` means; None where another runtime has sent it."""
    if "errorText" not in frame:
        return None
    return Meaning(error=message_of(frame["errorText"]) or NO_MESSAGE, always_ends=True)
