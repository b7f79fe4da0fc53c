"""Values in a runtime's JSON: texts and errors' messages, however deep they are nested."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from .meaning import Key, Tokens

DEPTH = 8
"""Frames nest five deep at most; anything deeper is an attack on the call stack."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_SEPARATORS = re.compile(r"[\W_]+")
_WORD = re.compile(r"[A-Za-z][\w.-]{0,63}", re.ASCII)
_ERROR_KEYS = (
    "error",
    "message",
    "detail",
    "reason",
    "response",
    "data",
    "content",
    "text",
    "code",
    "type",
)

Frame = dict[str, object]


def frame_of(value: object) -> Frame | None:
    """Return a JSON object; None for anything else."""
    return cast(Frame, value) if isinstance(value, dict) else None


def whole(text: str) -> str:
    """Return a text without lone surrogates, which no file can hold."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def spelled_plainly(word: str) -> str:
    """Return a word in lower case without separators: `toolCall`, `tool_call`, `tool.call`."""
    return _SEPARATORS.sub("", word).lower()


def text_in(value: object) -> str:
    """Return a string; "" for anything else."""
    return whole(value) if isinstance(value, str) else ""


def word_in(value: object) -> str | None:
    """Return a word of a runtime's vocabulary, such as a finish reason; None for anything else."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


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


def frames_in(value: object) -> Iterator[Frame]:
    """Yield the objects of a list; nothing for anything else."""
    for one in cast("list[object]", value) if isinstance(value, list) else ():
        frame = frame_of(one)
        if frame is not None:
            yield frame


def key_in(value: object) -> Key | None:
    """Return a key for the pieces of a tool call; None for anything else."""
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


def tokens_in(usage: object, read: str, written: str, *, new: bool = False) -> tuple[Tokens, ...]:
    """Return the tokens in an object that has them under these names; nothing for another value."""
    frame = frame_of(usage)
    return () if frame is None else (Tokens(frame.get(read), frame.get(written), new),)
