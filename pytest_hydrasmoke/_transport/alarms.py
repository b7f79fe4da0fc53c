"""Deadlines under anyio by our own clock: a test that freezes time stops an event loop's timers.

A block ends at one (`Until`), or is not cancelled before it (`shielded`). One thread waits for all
deadlines of this process, and has their loops cancel what is late. It ends once there are none, so
that a test that forks does so without a second thread. Where it can't start, a loop's timer has to
do.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import anyio

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.threads import begin

T = TypeVar("T")

TICK = 0.05
"""Seconds between two looks at what is waited for, at most."""

Loop = Callable[[Callable[[], object]], object]
"""An event loop, by what schedules a call in it from any thread."""


def running_loop() -> Loop | None:
    """Return the event loop running in this thread, if any."""
    with suppress(RuntimeError):
        return asyncio.get_running_loop().call_soon_threadsafe
    if "trio" in sys.modules:
        from trio.lowlevel import current_trio_token

        with suppress(RuntimeError):
            return current_trio_token().run_sync_soon
    return None


def _call(loop: Loop, work: Callable[[], object]) -> None:
    # One that has ended has no waiters left.
    with suppress(RuntimeError):
        loop(work)


def event() -> tuple[anyio.Event, Callable[[], None]]:
    """Return an event of the running loop, and what sets it from any thread."""
    woken, loop = anyio.Event(), running_loop()
    assert loop is not None
    return woken, partial(_call, loop, woken.set)


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
            if not _alarms.add(self):
                self._scope.deadline = anyio.current_time() + self.at - clock.now()
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
        _call(self.loop, self._scope.cancel)


async def sleep(seconds: float) -> None:
    """Sleep as a task of an event loop."""
    with Until(clock.now() + seconds):
        await anyio.Event().wait()


async def shielded(seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Complete `work` even if the caller is cancelled, and deliver the cancellation afterwards.

    Raises TimeoutError if it takes longer than `seconds`.
    """
    timed = _timed(seconds, work)
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        timed = _in_own_task(timed)
    return await timed


async def _timed(seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with Until(clock.now() + seconds, shield=True):
        return await work()
    raise TimeoutError(f"not done within {seconds:g} s")


async def _in_own_task(work: Coroutine[Any, Any, T]) -> T:
    # anyio's shield does not stop asyncio's own `task.cancel()`, which is what ends a test's task.
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            # Shielded: a cancelled anyio scope cancels every new wait.
            with anyio.CancelScope(shield=True):
                await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        with suppress(asyncio.CancelledError):
            task.exception()  # Otherwise asyncio warns of an exception that was never retrieved.
        raise cancelled
    return task.result()


class _Alarms:
    """What is waited for, and the thread that waits."""

    def __init__(self) -> None:
        self.waiting: set[Until] = set()
        self._runs = False
        self._lock = threading.Lock()

    def add(self, one: Until) -> bool:
        """Wait for one; False where the system has no thread for it."""
        with self._lock:
            self.waiting.add(one)
            self._runs = self._runs or begin(self._run, "hydra-smoke-deadlines")
            return self._runs

    def forget(self) -> None:
        """Begin anew, in a forked child: it has no thread but its own."""
        self.waiting, self._runs, self._lock = set(), False, threading.Lock()

    def _run(self) -> None:
        while self._is_needed():
            nearest = min((one.at for one in list(self.waiting)), default=math.inf)
            clock.pause(min(nearest - clock.now(), TICK))
            now = clock.now()
            for one in list(self.waiting):
                if one.at <= now:
                    self.waiting.discard(one)
                    one.ring()

    def _is_needed(self) -> bool:
        with self._lock:
            self._runs = bool(self.waiting)
            return self._runs


_alarms = _Alarms()
if sys.platform == "win32":
    pass  # Nothing forks there.
else:
    os.register_at_fork(after_in_child=_alarms.forget)
