"""OpenAI chat completion chunks, as OpenClaw's gateway and Hermes send them too."""

from __future__ import annotations

from typing import cast

from .finish import is_cut_short
from .generic import first_choice, text_of
from .meaning import NO_MESSAGE, Meaning
from .values import DEPTH, Frame, frame_of, message_of, word_in

CHUNK = Meaning(always_ends=True)
"""A chunk that adds nothing but text, which is left out."""


def read(frame: Frame) -> Meaning | None:
    """Return what a chunk means; None for an object that is none."""
    choices = frame.get("choices")
    if not isinstance(choices, list):
        return None
    choice = frame_of(first_choice(cast("list[object]", choices))) or {}
    finish = word_in(choice.get("finish_reason"))
    error = frame.get("error") or choice.get("error")
    # Hermes tells of a reply that met a limit as an error too, beside `length`.
    if error and not (finish and is_cut_short(finish)):
        words = message_of(frame) if frame.get("error") else message_of(error)
        return Meaning(error=words or NO_MESSAGE, finish=finish, always_ends=True)
    return Meaning(text_of(choice, DEPTH - 1), finish=finish, always_ends=True)
