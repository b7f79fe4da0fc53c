"""Threads of our own: those that a caller waits for, and one that ticks as long as it is needed.

What `threading` waits with is written in Python: an interrupt inside it leaves its lock held, or
comes out as an error about that lock. So a caller waits in one call of C (`Once`).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial

from . import clock

JOIN = 1.0
"""Seconds to wait for a thread to end: one blocked in a write ends later."""


class Once:
    """An event, set once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._is_set = False

    def set(self) -> None:
        self._is_set = True
        self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Return whether it is set, after at most `seconds`."""
        # An interrupt between these steps leaves the lock to nobody: it is not asked again.
        if not self._is_set and self._lock.acquire(timeout=seconds):
            self._lock.release()
        return self._is_set

    def is_set(self) -> bool:
        return self._is_set


def begin(work: Callable[[], None], name: str | None = None) -> bool:
    """Start a daemon thread; False if the system has no more of them."""
    try:
        threading.Thread(target=work, name=name, daemon=True).start()
    except RuntimeError as error:
        interrupt = error.__context__
        if interrupt is not None:
            raise interrupt from None
        return False
    return True


def is_over() -> bool:
    """Return whether the interpreter ends: from Python 3.12 on it then starts no thread."""
    return not threading.main_thread().is_alive()


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
            # Where the system has no more threads, nothing is told.
            with contextlib.suppress(RuntimeError):
                thread.start()

    def stop(self) -> None:
        """Stop, and wait for the thread; harmless if it is not running."""
        running, self._running = self._running, None
        if running is not None:
            running[1].set()
            # RuntimeError: it could not start, or another thread is about to start it.
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
