"""The width of a text on a terminal."""

from __future__ import annotations

import unicodedata


def width_of(text: str) -> int:
    """Return the columns that a one-line text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
