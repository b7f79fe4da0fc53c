"""A stream's bytes, as far as they are kept: its events were handed out, and are read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hydrasmoke._runtimes.content import Content

from .incoming import Incoming
from .kept_events import Kept

if TYPE_CHECKING:
    from .chat import OpenTurn


class KeptBytes:
    """The chunks of a stream, each with its seconds since the request; by default none."""

    def __init__(self) -> None:
        self.chunks: list[tuple[float, bytes]] = []
        self.room = 0.0
        """How many more bytes are kept; below 0 where more came."""

    def add(self, at: float, chunk: bytes) -> None:
        """Keep a chunk, or nothing at all once there are too many."""
        self.room -= len(chunk)
        if self.room < 0:
            self.chunks.clear()
        else:
            self.chunks.append((at, chunk))


def reread(turn: OpenTurn) -> Kept | None:
    """Return what its reader has been given of a turn; None where more came than is kept."""
    if turn.kept.room < 0:
        return None
    kept = Kept(Content())
    came = Incoming(turn.reading, turn.came.end.rule, kept.content)
    left = turn.came.read
    for at, chunk in turn.kept.chunks:
        came.feed(chunk, at)
        while left and (event := came.take()) is not None:
            left -= 1
            if not kept.add(event):
                return None
    return kept
