"""Hermes Agent: its run events, with their kind in the data, and its session events, named.

Both repeat the whole reply at their end, and run events may tell it once more as reasoning: what
was said is said by the deltas alone.
"""

from __future__ import annotations

from .meaning import NO_MESSAGE, Meaning
from .values import Frame, message_of, text_in

_RUN = """
    run.started run.completed run.failed run.cancelled message.started message.delta
    message.completed tool.started tool.progress tool.completed tool.failed reasoning.available
    reasoning.delta approval.request approval.responded
"""
RUN = frozenset(_RUN.split())
"""What `event` says in the data of run events."""
SESSION = (RUN - {"message.delta"}) | {"assistant.delta", "assistant.completed"}
"""The names of session events."""


def read(kind: str, frame: Frame) -> Meaning:
    """Return what an event of this kind means."""
    if kind in ("message.delta", "assistant.delta"):
        return Meaning(text_in(frame.get("delta")), always_ends=True)
    if kind == "run.completed":
        return Meaning(end=True, always_ends=True)
    if kind in ("run.failed", "run.cancelled"):
        wordless = "the run was cancelled" if kind == "run.cancelled" else NO_MESSAGE
        return Meaning(error=message_of(frame.get("error")) or wordless, always_ends=True)
    return Meaning(always_ends=True)
