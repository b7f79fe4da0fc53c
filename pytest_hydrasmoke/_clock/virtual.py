"""Time for tests: once all its users wait, it jumps to the next moment that one of them waits for.

One client acts at a time: it has the turn from its first call until it sleeps, or waits for a
stream's next bytes. One that waits for something outside the clock, such as the end of another
thread, loses its turn after a while of real time, if others want it. So nothing waits forever.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import anyio

from pytest_hydrasmoke._base import clock as real
from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._transport.alarms import Until, event, running_loop

LOOK = 0.02
"""Seconds of real time after which who waits checks what keeps it waiting."""
PATIENCE = 50
"""Looks without progress after which a turn is over; a machine that stalls does not look either."""
LOOP_PATIENCE = 3
"""The same for a task, where others of its loop want it: as they run, it does not."""

Caller = tuple[threading.Thread, int | None]
"""A thread, and a task if it runs an event loop."""


@public
class VirtualClock:
    """Stand in for real time: once all its users wait, it jumps to what the next one waits for.

    Give it to clients and to their fake router. Of several clients, in threads or in tasks, one
    acts at a time, until it sleeps or waits for a stream's next event.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._schedule = Schedule(start)

    def now(self) -> float:
        """Return the time in seconds."""
        return self._schedule.now

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass: at once, unless another user has something to do before."""
        self._schedule.sleep(seconds)

    def advance(self, seconds: float) -> None:
        """Move time on by hand; raises ValueError for a negative number."""
        if seconds < 0:
            raise ValueError(f"time moves forward only, not by {seconds} s")
        self._schedule.move(seconds)

    def _stream(self, peer: object) -> Pipe:
        pipe = self._schedule.pipes[peer] = Pipe(self._schedule, peer)
        return pipe


class Schedule:
    """Whose turn it is, and who waits."""

    def __init__(self, start: float) -> None:
        self.now = start
        self.lock = threading.RLock()
        self.pipes: dict[object, Pipe] = {}
        self.waits: list[Wait | Pipe] = []
        self.expected: set[object] = set()
        """Who is about to act: streams that are due, and clients of threads that begin."""
        self._acting: Caller | None = None
        self._steps = 0
        """How often anybody got on."""

    def take(self) -> None:
        """Have the turn if it is free."""
        with self.lock:
            self._acting = self._acting or caller()
            self._steps += 1

    def leave(self) -> None:
        """Let others act."""
        with self.lock:
            if self._acting == caller():
                self._acting = None
            self.go_on()

    @contextmanager
    def waiting(
        self, until: float, wake: Callable[[], object], pipe: Pipe | None = None
    ) -> Generator[Wait]:
        """Let others act until a moment, at which `wake` is called, or until bytes have come."""
        wait = Wait(until, wake, caller(), pipe)
        with self.lock:
            self.waits.append(wait)
            self.leave()
        try:
            yield wait
        finally:
            with self.lock:
                self.forget(wait)
                if pipe is not None:
                    pipe.taken += wait.took
                self.take()

    def calling(self) -> AbstractContextManager[Wait]:
        """Stop the time while a request is under way, however long that takes."""
        return self.waiting(math.inf, int, Pipe(self))

    def sleep(self, seconds: float, check: Callable[[], object] = int) -> None:
        """Block until `seconds` have passed; `check` may raise to end that."""
        woken = threading.Event()
        with self.waiting(self.now + max(seconds, 0.0), woken.set) as wait:
            wait.blocks, looked = True, (0, 0)
            while not real.wait(woken.wait, LOOK):
                check()
                looked = self._look(threading.current_thread(), looked)

    async def sleep_async(self, seconds: float) -> None:
        """Sleep as a task of an event loop."""
        woken, wake = event()
        with self.waiting(self.now + max(seconds, 0.0), wake):
            await self.until(woken, threading.current_thread())

    async def until(self, woken: anyio.Event, thread: threading.Thread | None = None) -> None:
        """Wait as a task; a client's tells its thread."""
        looked = 0, 0
        while not woken.is_set():
            with Until(real.now() + LOOK):
                await woken.wait()
            looked = self._look(thread, looked)

    def forget(self, wait: Wait | Pipe) -> None:
        """End a wait, under `lock`."""
        self.waits = [other for other in self.waits if other is not wait]

    def move(self, seconds: float) -> None:
        """Move time forward, and wake the streams that are due."""
        with self.lock:
            self._move(self.now + seconds)
            self.go_on()

    def _move(self, to: float) -> None:
        self.now = max(self.now, to)
        self._steps += 1
        for pipe in self.waits:
            if isinstance(pipe, Pipe) and pipe.until <= self.now:
                self.forget(pipe)
                self.expected.add(pipe)
                pipe.wake()

    def go_on(self) -> None:
        """Jump to the next moment, unless somebody acts or bytes are on their way."""
        clients = [wait for wait in self.waits if isinstance(wait, Wait)]
        # What comes to a task whose loop is blocked is not waited for.
        deaf = [wait.who[0] for wait in clients if wait.blocks]
        reads = [wait.pipe for wait in clients if wait.pipe and wait.who[0] not in deaf]
        if self._acting or self.expected or not all(pipe.rests for pipe in reads):
            return
        first = min(self.waits, key=lambda wait: wait.until, default=None)
        if not clients or first is None or first.until == math.inf:
            return
        self._move(first.until)
        if not self.expected and isinstance(first, Wait):
            self.forget(first)
            self._acting = first.who
            first.wake()

    def _look(self, thread: threading.Thread | None, before: tuple[int, int]) -> tuple[int, int]:
        """End a turn that has lasted too long for who waits in this thread.

        Returns how far all are, and how many looks have found them there; `before` is that of the
        last look.
        """
        with self.lock:
            who, looks = self._acting, before[1] + 1 if before[0] == self._steps else 1
            patience = LOOP_PATIENCE if who and who[0] is thread else PATIENCE
            looked = self._steps, looks
            if looks > patience or (who and not who[0].is_alive()):
                self._acting = None
                self.expected.clear()
            self.go_on()
            return looked


class Pipe:
    """A stream, from a fake router to a client that may use the same clock."""

    def __init__(self, schedule: Schedule, peer: object = None) -> None:
        self._schedule = schedule
        self._peer = peer
        self.sent = self.taken = 0
        self.until = math.inf
        self.wake: Callable[[], object] = int

    @property
    def rests(self) -> bool:
        """Whether nothing is on its way to the client."""
        return self in self._schedule.waits and self.sent == self.taken

    def send(self, size: int) -> None:
        """Count bytes before they leave."""
        with self._schedule.lock:
            self.sent += size

    async def sleep_until(self, moment: float) -> None:
        """Sleep as the router, before it sends more."""
        woken, self.wake = event()
        self.until = moment
        with self._schedule.lock:
            self._schedule.waits.append(self)
            self._schedule.expected.discard(self)
            self._schedule.move(0.0)
        await self._schedule.until(woken)

    def close(self) -> None:
        """End it, at either end."""
        with self._schedule.lock:
            if self._schedule.pipes.get(self._peer) is self:
                del self._schedule.pipes[self._peer]
            self._schedule.forget(self)
            self._schedule.expected.discard(self)
            self._schedule.go_on()


@dataclass(eq=False, slots=True)
class Wait:
    """A client's wait for a moment, or for a stream's bytes until then."""

    until: float
    wake: Callable[[], object]
    who: Caller
    pipe: Pipe | None
    took: int = 0
    """How many bytes came."""
    blocks: bool = False
    """Whether the thread as a whole waits."""


def caller() -> Caller:
    """Return who calls."""
    task = None if running_loop() is None else anyio.get_current_task().id
    return threading.current_thread(), task
