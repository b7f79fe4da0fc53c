"""Read a stream again from the bytes that are kept of it: its events were handed out."""

from __future__ import annotations

from pytest_hydrasmoke._runtimes.content import Content

from .chat import OpenTurn
from .incoming import Incoming
from .kept_events import Kept


def reread(turn: OpenTurn) -> Kept | None:
    """Return what its reader has been given of a turn; None where more came than is kept."""
    if turn.chunks is None:
        return None
    kept = Kept(Content())
    came = Incoming(turn.reading, turn.came.end.rule, kept.content)
    left = turn.came.read
    for at, chunk in turn.chunks:
        came.feed(chunk, at)
        while left and (event := came.take()) is not None:
            left -= 1
            if not kept.add(event):
                return None
    return kept
