"""When a turn's events came, and what its pauses show of a proxy before the agent; pure rules.

A reply that comes late and all at once looks like a proxy that buffers the stream, and one that
falls silent like a proxy that cuts silent streams. So these make notes and advice, never a failure.
"""

from __future__ import annotations

from array import array
from typing import Literal

from pytest_hydrasmoke._journal.chat import MOST_ARRIVALS

Pace = Literal["at once", "streamed"]

TEXTS = 5
"""Fewest events with text from which the pace of a stream can be judged.

A framework that does not stream sends its text in one event, among half a dozen others.
"""
AWAITED = 1.0
"""Seconds before the first event that count as held back; a shorter wait does no harm."""
EACH = 0.0005
"""Seconds per event with text, from the first event to the last: no model is that fast."""
SILENT = 1.0
"""Seconds without a byte from which a silence is reported."""
NEAR = 0.3
"""Seconds by which a silence may miss a limit that cut it."""
ROUND = 5.0
"""Limits of proxies are multiples of this many seconds: 30, 50, 60, 100, 350."""


class Times:
    """When a turn's stream came, in seconds since the request; it does not grow with the stream."""

    def __init__(self) -> None:
        self.awaited = 0.0
        """Seconds that the reader waited before the first event came."""
        self.heard = 0.0
        """When bytes came last; 0 before any."""
        self.last: float | None = None
        """When events arrived last; None before any."""
        self.max_gap = 0.0
        """The longest silence between two events."""
        self.first_event: float | None = None
        self.first_text: float | None = None
        self.events = 0
        self.texts = 0
        """How many of the events have text."""
        self.arrivals: array[float] = array("d")
        """When events arrived: all of them, or every n-th of a long stream."""
        self._every = 1

    def arrived(self, at: float) -> None:
        """Hear of events that arrive together."""
        if self.last is not None and at - self.last > self.max_gap:
            self.max_gap = at - self.last
        self.last = at

    def count(self, at: float, *, says: bool) -> None:
        """Count an event that arrived then."""
        self.texts += says
        if self.events % self._every == 0:
            self.arrivals.append(at)
            if len(self.arrivals) == 2 * MOST_ARRIVALS:
                del self.arrivals[1::2]
                self._every *= 2
        self.events += 1


def pace(texts: int, awaited: float, spread: float) -> Pace | None:
    """Return how a stream came; None if it was too short, or too quick, to judge.

    `texts` of its events had text; its reader waited `awaited` seconds for the first event, and
    `spread` seconds passed from that to the last one.
    """
    if texts < TEXTS:
        return None
    if spread > EACH * texts:
        return "streamed"
    return "at once" if awaited >= AWAITED else None


def is_limit(silence: float, before: tuple[float, ...]) -> bool:
    """Return whether a stream was cut as by a limit: after a round time, or the same as before.

    `before` are the silences after which earlier ones were cut.
    """
    to_round = abs(silence - round(silence / ROUND) * ROUND)
    is_round = to_round <= NEAR and silence >= ROUND - NEAR
    return is_round or any(abs(silence - other) <= NEAR for other in before)


IDLE_LIMIT = (
    "a proxy's idle timeout may have cut the silent stream: raise it above the agent's longest "
    "silence (nginx: proxy_read_timeout; HAProxy: timeout server), or have keep-alives sent; else "
)
