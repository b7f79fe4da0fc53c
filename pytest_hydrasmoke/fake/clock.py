"""The time the fake lives by. It asks for the time and never passes it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the fake needs of a clock: real, virtual or set by hand."""

    def now(self) -> float:
        """Give the time in seconds, from an arbitrary start; it never goes back."""
        ...


class RealClock:
    """The machine's monotonic time."""

    def now(self) -> float:
        """Give the time in seconds."""
        return time.monotonic()
