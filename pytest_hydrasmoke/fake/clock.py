"""The fake's clock: it gives the time, and only pauses of a stream sleep by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import anyio

from .real_time import now
from .records import public

# Seconds between two readings of a clock that is set by hand: nobody knows how long to wait.
_INTERVAL = 0.002


@public
class Clock(Protocol):
    """What the fake needs of a clock: real, virtual or set by hand."""

    def now(self) -> float:
        """Return the time in seconds, from an arbitrary start; it never goes back."""
        ...


class RealClock:
    """The machine's time, whatever a test does to its clocks."""

    def now(self) -> float:
        return now()


class Pace:
    """A clock as seen by one stream: here by one that does not track streams."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._real = isinstance(clock, RealClock)

    def send(self, size: int) -> None:
        """Count bytes before they leave."""

    async def sleep_until(self, moment: float) -> None:
        """Sleep until a moment of the clock, which may be `inf`."""
        while (left := moment - self._clock.now()) > 0:  # noqa: ASYNC110 (time sets no event)
            await anyio.sleep(left if self._real or left == math.inf else min(left, _INTERVAL))

    def close(self) -> None:
        """Mark the stream as ended."""


def pace_by(clock: Clock, peer: Sequence[object] | None) -> Pace:
    """Return a stream's pace by a clock; `peer` is an ASGI scope's client.

    A clock whose time passes once all its users wait has to know every stream, and the client's
    end of its connection, by which a client on the same clock finds it.
    """
    stream: Callable[[object], Pace] = getattr(clock, "_stream", lambda end: Pace(clock))
    return stream(None if peer is None else tuple(peer)[:2])
