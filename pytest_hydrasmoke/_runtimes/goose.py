"""Goose: whole and partial messages, `Ping`, and `Finish` or `Error`."""

from __future__ import annotations

from .generic import text_of
from .meaning import NO_MESSAGE, Meaning
from .values import Frame, message_of, word_in

TYPES = frozenset({"Message", "Finish", "Error", "Ping", "ModelChange", "Notification"})


def read(kind: str, frame: Frame) -> Meaning:
    """Return what an object of this type means."""
    if kind == "Message":
        return Meaning(text_of(frame.get("message")), always_ends=True)
    if kind == "Finish":
        return Meaning(end=True, finish=word_in(frame.get("reason")), always_ends=True)
    if kind == "Error":
        return Meaning(error=message_of(frame.get("error")) or NO_MESSAGE, always_ends=True)
    return Meaning(always_ends=True)
