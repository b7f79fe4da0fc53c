"""OpenAI chat completion chunks, also sent by OpenClaw's gateway and Hermes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from .finish import is_cut_short
from .generic import first_choice, text_of
from .meaning import NO_MESSAGE, Meaning
from .parts import Part, Reasoning, Tokens, ToolArguments, ToolCalled
from .values import DEPTH, Frame, frame_of, frames_in, key_in, message_of, text_in, word_in

NAME = "OpenAI chat"

CHUNK = Meaning(runtime=NAME)
"""A chunk that adds only text, which is left out."""


def read(frame: Frame) -> Meaning | None:
    """Return what a chunk means; None for an object that is no chunk."""
    choices = frame.get("choices")
    if not isinstance(choices, list):
        return None
    choice = frame_of(first_choice(cast("list[object]", choices))) or {}
    finish = word_in(choice.get("finish_reason"))
    error = frame.get("error") or choice.get("error")
    # Hermes reports a reply that met a limit as an error too, beside `length`.
    if error and not (finish and is_cut_short(finish)):
        words = message_of(frame) if frame.get("error") else message_of(error)
        return Meaning(error=words or NO_MESSAGE, finish=finish, runtime=NAME)
    return Meaning(text_of(choice, DEPTH - 1), finish=finish, runtime=NAME)


def parts(frame: Frame) -> Iterator[Part]:
    """Yield the content of a chunk beside text."""
    choices = frame.get("choices")
    first = first_choice(cast("list[object]", choices)) if isinstance(choices, list) else None
    choice = frame_of(first) or {}
    said = frame_of(choice.get("delta")) or frame_of(choice.get("message")) or {}
    yield from delta_parts(said)
    usage = frame_of(frame.get("usage"))
    if usage is not None:
        yield Tokens(usage.get("prompt_tokens"), usage.get("completion_tokens"))


def delta_parts(said: Frame) -> Iterator[Part]:
    """Yield the content of a delta, or a message, beside text."""
    thought = text_in(said.get("reasoning_content")) or text_in(said.get("reasoning"))
    if thought:
        yield Reasoning(thought)
    for call in frames_in(said.get("tool_calls")):
        function = frame_of(call.get("function")) or {}
        name, call_id = word_in(function.get("name")), word_in(call.get("id"))
        index = key_in(call.get("index"))
        key = (call_id or 0) if index is None else index
        if name or call_id:
            yield ToolCalled(key, name, call_id)
        if piece := text_in(function.get("arguments")):
            yield ToolArguments(key, piece)
