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
    # One name for all ends leaves it to the response's status to tell which it is.
    end = word_in(response.get("status")) or "completed"
    if kind != "response.done":
        end = kind.removeprefix(PREFIX)
    if end == "completed":
        return Meaning(end=True, always_ends=True)
    if end == "incomplete":
        details = frame_of(response.get("incomplete_details")) or {}
        finish = word_in(details.get("reason")) or end
        return Meaning(end=True, finish=finish, always_ends=True)
    if end in ("failed", "cancelled"):
        error = message_of(response.get("error")) or message_of(frame.get("error"))
        wordless = "the response was cancelled" if end == "cancelled" else NO_MESSAGE
        return Meaning(error=error or wordless, always_ends=True)
    return Meaning(always_ends=True)
