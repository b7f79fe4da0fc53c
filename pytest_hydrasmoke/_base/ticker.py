"""A thread that lives no longer than there is need."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

JOIN = 1.0
"""Seconds to wait for a thread that is told to end: one that is held up in a write ends later."""


class Ticker:
    """Calls something now and then, in a thread of its own until it is stopped.

    So a test that forks does so without a thread beside it.
    """

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._running: tuple[threading.Thread, threading.Event] | None = None

    def start(self, every: float) -> None:
        """Begin, with `every` seconds between two calls; harmless if it has begun."""
        if self._running is None:
            stop = threading.Event()
            name = "hydra-smoke-progress"
            thread = threading.Thread(target=self._run, args=(every, stop), name=name, daemon=True)
            self._running = thread, stop
            thread.start()

    def stop(self) -> None:
        """End, and wait for it; harmless if there is nothing to end."""
        running, self._running = self._running, None
        if running is not None:
            running[1].set()
            running[0].join(JOIN)

    def _run(self, every: float, stop: threading.Event) -> None:
        # A tick that fails is the last one; it must not affect the run.
        with contextlib.suppress(Exception):
            while not stop.wait(every):
                self._tick()
