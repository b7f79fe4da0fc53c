"""The one aligner of text tables: a column is as wide as its widest cell on a terminal; pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

Piece = tuple[str, str]
"""A text and its style: pytest's markup, by name, or nothing."""
Line = list[Piece]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, and a cell for each row."""

    title: str
    cells: tuple[Piece, ...]
    left: bool = False

    @property
    def width(self) -> int:
        """Return how many columns of the terminal it takes."""
        return max(width_of(text) for text in (self.title, *(text for text, _ in self.cells)))

    def padded(self, piece: Piece) -> Piece:
        """Return one of its cells, padded to its width."""
        room = " " * (self.width - width_of(piece[0]))
        return (piece[0] + room if self.left else room + piece[0]), piece[1]


def aligned(columns: Sequence[Column], width: float = inf) -> list[Line]:
    """Draw columns below their titles, closer together where `width` has no space for more."""
    needed = sum(column.width for column in columns)
    gap = "  " if needed + 2 * (len(columns) - 1) <= width else " "
    heads = [column.padded((column.title, "bold")) for column in columns]
    rows = zip(*([column.padded(cell) for cell in column.cells] for column in columns), strict=True)
    return [_line(row, gap) for row in (heads, *rows)]


def _line(cells: Sequence[Piece], gap: str) -> Line:
    """Join cells on one line, without spaces at the end."""
    line: Line = []
    for text, style in cells:
        line += [(text, style), (gap, "")]
    while line and not line[-1][0].strip():
        line.pop()
    return [*line[:-1], (line[-1][0].rstrip(), line[-1][1])] if line else line


def width_of(text: str) -> int:
    """Return the columns that a one-line text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
