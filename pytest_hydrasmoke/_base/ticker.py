"""A thread that lives only as long as it is needed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial

from . import clock

JOIN = 1.0
"""Seconds to wait for a thread to end: one blocked in a write ends later."""


class Ticker:
    """Call a function at intervals, in a separate thread, until it is stopped.

    Stopped between uses, so that a test that forks does so without a second thread.
    """

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._running: tuple[threading.Thread, threading.Event] | None = None

    def start(self, every: float) -> None:
        """Start, with `every` seconds between two calls; harmless if it is running."""
        if self._running is None:
            stop = threading.Event()
            name = "hydra-smoke-progress"
            thread = threading.Thread(target=self._run, args=(every, stop), name=name, daemon=True)
            self._running = thread, stop
            thread.start()

    def stop(self) -> None:
        """Stop, and wait for the thread; harmless if it is not running."""
        running, self._running = self._running, None
        if running is not None:
            running[1].set()
            # RuntimeError: another thread is about to start it, and it will end at once.
            with contextlib.suppress(RuntimeError):
                clock.wait(partial(_joined, running[0]), JOIN)

    def _run(self, every: float, stop: threading.Event) -> None:
        # A tick that fails is the last one; it must not affect the run.
        with contextlib.suppress(Exception):
            while not clock.wait(stop.wait, every):
                self._tick()


def _joined(thread: threading.Thread, seconds: float) -> bool:
    thread.join(seconds)
    return not thread.is_alive()
