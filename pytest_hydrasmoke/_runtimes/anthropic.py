"""Anthropic's messages: blocks of text, thinking and tools, from `message_start` to its stop."""

from __future__ import annotations

from .meaning import Meaning
from .values import Frame, frame_of, text_in, word_in

_TYPES = """
    message_start content_block_start content_block_delta content_block_stop message_delta
    message_stop
"""
TYPES = frozenset(_TYPES.split())


def read(kind: str, frame: Frame) -> Meaning:
    """Return what an object of this type means."""
    if kind == "message_stop":
        return Meaning(end=True, always_ends=True)
    delta = frame_of(frame.get("delta")) or {}
    if kind == "content_block_delta" and delta.get("type") == "text_delta":
        return Meaning(text_in(delta.get("text")), always_ends=True)
    if kind == "message_delta":
        return Meaning(finish=word_in(delta.get("stop_reason")), always_ends=True)
    return Meaning(always_ends=True)
