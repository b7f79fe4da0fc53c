"""Ways to show what is under way: a line in place, or a line for each change."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Protocol

from .screen import Screen
from .snapshot import Snapshot, overall

SILENCE = 30.0
"""Seconds after which a phase that goes on is told once more, where lines are told."""

JOIN = 1.0
"""Seconds to wait for a thread that is told to end: one that is held up in a write ends later."""

Seen = dict[str, Snapshot]
"""The instances at which a phase is under way, by name."""


class View(Protocol):
    """A way to show what happens; anything may be called from any thread."""

    every: float
    """Seconds between two ticks, while a phase is under way."""

    def changed(self, name: str, words: str, seen: Seen, now: float, *, swift: bool) -> None:
        """Show a change."""
        ...

    def tick(self, seen: Seen, now: float) -> None:
        """Show that time passes."""
        ...

    def rests(self) -> None:
        """Show that no phase is under way."""
        ...


class InPlace:
    """One line on a terminal, about the phase that has been under way for longest."""

    every = 1.0

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def changed(self, name: str, words: str, seen: Seen, now: float, *, swift: bool) -> None:
        if not swift:
            self.tick(seen, now)

    def tick(self, seen: Seen, now: float) -> None:
        if seen:
            name, words = overall(seen.values(), now)
            self._screen.draw(f"hydra-smoke: {words} ({name})")

    def rests(self) -> None:
        self._screen.erase()


class Lines:
    """A line for each change, and one now and then if there is none."""

    every = 1.0

    def __init__(self, tell: Callable[[str], None], *, changes: bool = True) -> None:
        self._tell = tell
        self._changes = changes
        self._last = 0.0

    def changed(self, name: str, words: str, seen: Seen, now: float, *, swift: bool) -> None:
        self._last = now
        if self._changes and not swift:
            self._tell(f"{name}: {words}")

    def tick(self, seen: Seen, now: float) -> None:
        if seen and now - self._last >= SILENCE:
            self._last = now
            self._tell(": ".join(overall(seen.values(), now)))

    def rests(self) -> None: ...


class Ticker:
    """Calls something now and then, in a thread that lives no longer than there is need.

    So a test that forks does so without a thread beside it.
    """

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._running: tuple[threading.Thread, threading.Event] | None = None

    def start(self, every: float) -> None:
        """Begin, with `every` seconds between two calls; harmless if it has begun."""
        if self._running is None:
            stop = threading.Event()
            name = "hydra-smoke-live"
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
        # A view that fails is none any more, and no matter of the run.
        with contextlib.suppress(Exception):
            while not stop.wait(every):
                self._tick()
