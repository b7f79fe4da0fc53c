"""A JSON object of a runtime, read with suspicion."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from pytest_hydrasmoke._base.text import safe_line

from .meaning import Key, TokensUsed

DEPTH = 8
"""Frames nest five deep at most; anything deeper is an attack on the call stack."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_WORD = re.compile(r"[A-Za-z][\w.-]{0,63}", re.ASCII)
_ERRORS = "error message detail reason response data content text code type"
_ERROR_KEYS = tuple(_ERRORS.split())
_CACHED = (
    ("prompt_tokens_details", "cached_tokens"),
    ("input_tokens_details", "cached_tokens"),
    ("inputTokenDetails", "cacheReadTokens"),
    ("cache_read_input_tokens",),
    ("cachedInputTokens",),
)
_REASONED = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("output_tokens_details", "reasoning_tokens"),
    ("outputTokenDetails", "reasoningTokens"),
    ("reasoningTokens",),
)
_LONGEST_NAME = 128
"""Characters of a model's name."""


class Frame(dict[str, object]):
    """A JSON object: what is asked of it is only there if it is of that kind."""

    def inner(self, key: str) -> Frame:
        """Return an object; an empty one for anything else."""
        return frame_of(self.get(key)) or Frame()

    def each(self, key: str) -> Iterator[Frame]:
        """Yield the objects of a list; nothing for anything else."""
        value = self.get(key)
        for one in cast("list[object]", value) if isinstance(value, list) else ():
            frame = frame_of(one)
            if frame is not None:
                yield frame

    def text(self, key: str) -> str:
        """Return a string; "" for anything else."""
        value = self.get(key)
        return whole(value) if isinstance(value, str) else ""

    def word(self, key: str) -> str | None:
        """Return a word of a vocabulary, such as a finish reason; None for anything else."""
        value = self.get(key)
        if not isinstance(value, str) or value.lower() in ("null", "none"):
            return None
        return value if _WORD.fullmatch(value) else None

    def name(self, key: str) -> str | None:
        """Return a tool's name, or an id, made harmless; None for anything else.

        Whoever serves a tool names it: a call that is left out was never made, for a test.
        """
        value = self.get(key)
        return safe_line(value) or None if isinstance(value, str) else None

    def key(self, key: str) -> Key | None:
        """Return a key for the pieces of a tool call; None for anything else."""
        value = self.get(key)
        return value if isinstance(value, str | int) and not isinstance(value, bool) else None

    def message(self, *keys: str) -> str:
        """Return the first error's message at these keys; "" where there is none."""
        return next(filter(None, (message_of(self.get(key)) for key in keys)), "")

    def tokens(self, key: str, read: str, written: str) -> tuple[TokensUsed, ...]:
        """Return the tokens in an object that has them under these names, if it is one."""
        frame = frame_of(self.get(key))
        if frame is None:
            return ()
        cached, reasoned = _first_at(frame, _CACHED), _first_at(frame, _REASONED)
        return (TokensUsed(frame.get(read), frame.get(written), cached, reasoned),)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that it names."""
        return models_in(self)


def frame_of(value: object) -> Frame | None:
    """Return a JSON object; None for anything else."""
    return Frame(cast("dict[str, object]", value)) if isinstance(value, dict) else None


def whole(text: str) -> str:
    """Return a text without lone surrogates, which no file can hold."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def message_of(value: object, depth: int = DEPTH) -> str:
    """Return an error's message in a JSON value; "" where there is none."""
    if isinstance(value, str):
        return whole(value).strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    frame = frame_of(value)
    if frame is None or depth == 0:
        return ""
    found = (message_of(frame.get(key), depth - 1) for key in _ERROR_KEYS)
    return next(filter(None, found), "")


def _first_at(frame: Frame, paths: tuple[tuple[str, ...], ...]) -> object:
    """Return the first value at one of these paths of keys; None where there is none."""
    for *outer, name in paths:
        inner = frame
        for key in outer:
            inner = inner.inner(key)
        if inner.get(name) is not None:
            return inner[name]
    return None


def models_in(*frames: Frame) -> tuple[str, ...]:
    """Return the models that JSON objects name, each once."""
    named = [frame[key] for frame in frames for key in ("model", "modelId") if key in frame]
    names = [it for it in named if isinstance(it, str) and 0 < len(it) <= _LONGEST_NAME]
    return tuple(dict.fromkeys(filter(str.isprintable, names)))
