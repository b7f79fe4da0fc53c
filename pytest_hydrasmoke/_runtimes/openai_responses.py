"""OpenAI's Responses: `response.*` objects, of which `.done` and items repeat what was said."""

from __future__ import annotations

from .meaning import NO_MESSAGE, Meaning
from .values import Frame, frame_of, message_of, text_in, word_in

PREFIX = "response."


def read(kind: str, frame: Frame) -> Meaning:
    """Return what an object of this type means."""
    response = frame_of(frame.get("response")) or {}
    if kind == "response.output_text.delta":
        return Meaning(text_in(frame.get("delta")), always_ends=True)
    if kind in ("response.completed", "response.done"):
        return Meaning(end=True, always_ends=True)
    if kind == "response.incomplete":
        details = frame_of(response.get("incomplete_details")) or {}
        finish = word_in(details.get("reason")) or "incomplete"
        return Meaning(end=True, finish=finish, always_ends=True)
    if kind in ("response.failed", "response.cancelled"):
        error = message_of(response.get("error")) or message_of(frame.get("error"))
        cancelled = "the response was cancelled" if kind == "response.cancelled" else NO_MESSAGE
        return Meaning(error=error or cancelled, always_ends=True)
    return Meaning(always_ends=True)
