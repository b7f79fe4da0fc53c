"""Goose: messages, whole or in pieces under one id, `Ping`, and `Finish` or `Error`."""

from __future__ import annotations

from .generic import text_of
from .meaning import NO_MESSAGE, Meaning
from .values import Frame, frame_of, message_of, word_in

TYPES = frozenset(
    {"Message", "Finish", "Error", "Ping", "ModelChange", "Notification", "UpdateConversation"}
)


def read(kind: str, frame: Frame) -> Meaning | None:
    """Return what an object of this type means; None for another runtime's `Message`."""
    if kind == "Message":
        message = frame_of(frame.get("message"))
        if message is None:
            return None
        metadata = frame_of(message.get("metadata")) or {}
        # A message may be for the agent alone, such as the summary of what was said so far.
        seen = metadata.get("userVisible") is not False
        return Meaning(text_of(message) if seen else "", always_ends=True)
    if kind == "Finish":
        return Meaning(end=True, finish=word_in(frame.get("reason")), always_ends=True)
    if kind == "Error":
        error = message_of(frame.get("error")) or message_of(frame.get("message"))
        return Meaning(error=error or NO_MESSAGE, always_ends=True)
    return Meaning(always_ends=True)
