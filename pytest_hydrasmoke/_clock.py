"""Time as tests need it: it passes only when somebody sleeps."""

from __future__ import annotations

import threading


class VirtualClock:
    """Stand in for real time: `sleep` returns at once and moves `now` on.

    Seconds, from `start`. Meant for one client at a time: the sleeps of several add up.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> float:
        """Give the time in seconds."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass, at once."""
        self.advance(max(seconds, 0.0))

    def advance(self, seconds: float) -> None:
        """Move time on by hand; raises ValueError for a negative number."""
        if seconds < 0:
            raise ValueError(f"time moves forward only, not by {seconds} s")
        with self._lock:
            self._now += seconds
