"""OpenAI chat completion chunks, as OpenClaw's gateway and Hermes send them too."""

from __future__ import annotations

from typing import cast

from .generic import first_choice, text_of
from .meaning import NO_MESSAGE, Meaning
from .values import Frame, frame_of, message_of, word_in

CHUNK = Meaning(always_ends=True)
"""A chunk that adds nothing but text, which is left out."""


def read(frame: Frame) -> Meaning | None:
    """Return what a chunk means; None for an object that is none."""
    choices = frame.get("choices")
    if not isinstance(choices, list):
        return None
    if frame.get("error"):
        return Meaning(error=message_of(frame) or NO_MESSAGE, always_ends=True)
    choice = frame_of(first_choice(cast("list[object]", choices)))
    finish = None if choice is None else word_in(choice.get("finish_reason"))
    return Meaning(text_of(frame), finish=finish, always_ends=True)
