"""Continuing chunks of an OpenAI chat, which most events are: read at a fraction of the cost.

They differ only in their delta. What surrounds it is parsed once, and cached.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import cast

from .generic import text_of
from .meaning import Meaning
from .openai_chat import CHUNK, NAME, delta_parts
from .parts import Part
from .values import DEPTH, Frame, frame_of, text_in

_LONGEST = 4096
"""Most characters of data to handle: the caches keep it."""
_DELTA = '"delta":'
_STAND_IN = {"": 0}
_CHOICE = frozenset({"index", "delta", "finish_reason", "logprobs"})
_BESIDE_TEXT = frozenset({"tool_calls", "reasoning_content", "reasoning"})
_decode = json.JSONDecoder().raw_decode


# An event is read for its text, and then for its tools.
@lru_cache(maxsize=1)
def delta_of(data: str) -> Frame | None:
    """Return the delta of a chunk without other content; None for any other data."""
    start = data.find(_DELTA) + len(_DELTA)
    if start < len(_DELTA) or len(data) > _LONGEST:
        return None
    if data[start : start + 1] == " ":
        start += 1
    try:
        value, end = _decode(data, start)
    except (ValueError, RecursionError):
        return None
    delta = frame_of(value)
    return delta if delta is not None and _goes_on(data[:start], data[end:]) else None


@lru_cache(maxsize=64)
def _goes_on(before: str, after: str) -> bool:
    """Return whether a delta's surroundings are a chunk of one choice without other content."""
    try:
        frame = frame_of(json.loads(f"{before}{json.dumps(_STAND_IN)}{after}"))
    except (ValueError, RecursionError):
        return False
    if frame is None or not frame.keys().isdisjoint(("type", "event", "error")):
        return False
    choices = frame.get("choices")
    if frame.get("usage") is not None or not isinstance(choices, list):
        return False
    [choice, *others] = map(frame_of, cast("list[object]", choices)) if choices else [None]
    if choice is None or others or not choice.keys() <= _CHOICE:
        return False
    # If a key comes twice, the last one counts.
    found = choice.get("delta") == _STAND_IN and choice.get("index", 0) == 0
    return found and choice.get("finish_reason") is None


def meaning(delta: Frame) -> Meaning:
    """Return what a chunk with this delta means."""
    if delta.keys() <= _BESIDE_TEXT:
        return CHUNK
    content = delta.get("content")
    plain = isinstance(content, str) and len(delta) == 1
    text = text_in(content) if plain else text_of(delta, DEPTH - 2)
    return Meaning(text, runtime=NAME) if text else CHUNK


def parts(delta: Frame) -> Iterable[Part]:
    """Return the content of a chunk with this delta beside text."""
    return () if delta.keys() == {"content"} else delta_parts(delta)
