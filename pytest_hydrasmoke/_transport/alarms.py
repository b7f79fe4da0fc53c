"""Deadlines under anyio by our own clock: a test that freezes time stops an event loop's timers.

One thread waits for all deadlines of this process, and has their loops cancel what is late. It ends
once there are none, so that a test that forks does so without a second thread.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

import anyio

from pytest_hydrasmoke._base import clock

TICK = 0.05
"""Seconds between two looks at what is waited for, at most."""


@dataclass(frozen=True)
class Loop:
    """The event loop of a thread."""

    soon: Callable[[Callable[[], object]], object]

    def call(self, work: Callable[[], object]) -> None:
        """Schedule a call in the loop, from any thread."""
        # A loop that has ended has no waiters left.
        with suppress(RuntimeError):
            self.soon(work)


def running_loop() -> Loop | None:
    """Return the event loop running in this thread, if any."""
    with suppress(RuntimeError):
        return Loop(asyncio.get_running_loop().call_soon_threadsafe)
    if "trio" in sys.modules:
        from trio.lowlevel import current_trio_token

        with suppress(RuntimeError):
            return Loop(current_trio_token().run_sync_soon)
    return None


class Until:
    """Cancel the block of a `with` at a `clock.now()`; gives its scope, as `move_on_after` does.

    `loop` is the running one, where the caller knows it.
    """

    __slots__ = ("_scope", "at", "loop")

    def __init__(self, at: float, loop: Loop | None = None, *, shield: bool = False) -> None:
        self.at = at
        self.loop = loop
        self._scope = anyio.CancelScope(shield=shield)

    def __enter__(self) -> anyio.CancelScope:
        if self.at <= clock.now():
            self._scope.cancel()
        else:
            self.loop = self.loop or running_loop()
            _alarms.add(self)
        return self._scope.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        _alarms.waiting.discard(self)
        return self._scope.__exit__(kind, error, traceback)

    def ring(self) -> None:
        """Cancel the block, from any thread."""
        assert self.loop is not None
        self.loop.call(self._scope.cancel)


async def sleep(seconds: float) -> None:
    """Sleep as a task of an event loop."""
    with Until(clock.now() + seconds):
        await anyio.Event().wait()


class _Alarms:
    """What is waited for, and the thread that waits."""

    def __init__(self) -> None:
        self.waiting: set[Until] = set()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def add(self, one: Until) -> None:
        self.waiting.add(one)
        if self._thread is None:
            self._start()

    def forget(self) -> None:
        """Begin anew, in a forked child: it has no thread but its own."""
        self.waiting, self._thread, self._lock = set(), None, threading.Lock()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                name = "hydra-smoke-deadlines"
                thread = threading.Thread(target=self._run, name=name, daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        over = False
        while not over:
            nearest = min((one.at for one in list(self.waiting)), default=math.inf)
            clock.pause(min(nearest - clock.now(), TICK))
            now = clock.now()
            for one in list(self.waiting):
                if one.at <= now:
                    self.waiting.discard(one)
                    one.ring()
            over = self._is_over()

    def _is_over(self) -> bool:
        with self._lock:
            if self.waiting:
                return False
            thread, self._thread = self._thread, None
            # Whoever adds one looks for a thread afterwards: it may have seen this one.
            if self.waiting:
                self._thread = thread
            return self._thread is None


_alarms = _Alarms()
if sys.platform == "win32":
    pass  # Nothing forks there.
else:
    os.register_at_fork(after_in_child=_alarms.forget)
