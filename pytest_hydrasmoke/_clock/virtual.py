"""Time for tests: it passes only while all its users wait.

`VirtualClock` is what tests hold, `Part` a client's side of it, `StreamPart` a fake router's side
for one stream. `scheduler` decides; here threads and tasks wait for its decision.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from functools import partial

import anyio

from pytest_hydrasmoke._base import clock as real
from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._transport.alarms import Loop, Until, running_loop

from .scheduler import LOOK, Line, Scheduler, Seat, Wait

__tracebackhide__ = hide_own_frames


@public
class VirtualClock:
    """Stand in for real time: seconds pass, from `start`, when all its users sleep.

    Give it to clients and to their fake router. It wakes one sleeper at a time, ordered by time,
    and at the same time in the order in which the clients were made. So several clients, in
    threads or in tasks, do the same things in the same order each time.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._scheduler = Scheduler(start)
        self._own = threading.local()

    def now(self) -> float:
        """Return the time in seconds."""
        return self._scheduler.now

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass: at once, unless another user has something to do before."""
        part: Part | None = getattr(self._own, "part", None)
        if part is None:
            part = self._own.part = part_of(self)
        part.sleep(seconds)

    def advance(self, seconds: float) -> None:
        """Move time on by hand; raises ValueError for a negative number."""
        if seconds < 0:
            raise ValueError(f"time moves forward only, not by {seconds} s")
        with self._scheduler.lock:
            self._scheduler.advance(seconds)

    def _stream(self, peer: object) -> StreamPart:
        return StreamPart(self._scheduler, peer)


def part_of(clock: VirtualClock) -> Part:
    """Return a client's part in a clock."""
    return Part(clock._scheduler)  # pyright: ignore[reportPrivateUsage]


@contextmanager
def standing_aside(clock: VirtualClock, handed_over: Collection[Part]) -> Generator[None]:
    """Let time pass while this thread waits for others outside the clock.

    Parts handed over to other threads still count as users.
    """
    scheduler = clock._scheduler  # pyright: ignore[reportPrivateUsage]
    seats = {part.seat for part in handed_over}
    with scheduler.lock:
        scheduler.stand_aside(True, seats, running_loop())
    try:
        yield
    finally:
        with scheduler.lock:
            scheduler.stand_aside(False, seats, running_loop())


def _nothing() -> None:
    pass


class Part:
    """A client's side of a clock."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        with scheduler.lock:
            self.seat: Seat = scheduler.seat()

    def leave(self) -> None:
        """Stop taking part, until the next sleep or call."""
        with self._scheduler.lock:
            self._scheduler.leave(self.seat)

    # Sleeping

    def sleep(self, seconds: float, check: Callable[[], object] = _nothing) -> None:
        """Block until `seconds` have passed; `check` may raise to end that."""
        scheduler, woken, loop = self._scheduler, threading.Event(), running_loop()
        with scheduler.lock:
            place = scheduler.come(self.seat, loop)
            until = scheduler.now + max(seconds, 0.0)
            wait = scheduler.wait(self.seat.number, until, place, woken.set, None)
            wait.place, place.blocked = place, wait
            scheduler.go_on()
        try:
            while not real.wait(woken.wait, LOOK):
                check()
                _look(scheduler)
        finally:
            with scheduler.lock:
                place.blocked = None
                scheduler.end(wait)
                scheduler.stir(place, loop)

    async def sleep_async(self, seconds: float) -> None:
        """Sleep as a task of an event loop."""
        scheduler, loop = self._scheduler, running_loop()
        woken = anyio.Event()
        with scheduler.lock:
            place = scheduler.come(self.seat, loop)
            until = scheduler.now + max(seconds, 0.0)
            who = (place, anyio.get_current_task().id)
            wait = scheduler.wait(self.seat.number, until, who, _soon(loop, woken.set), None)
            wait.place = place
        try:
            await _until(woken, scheduler)
        finally:
            with scheduler.lock:
                scheduler.end(wait)
                scheduler.stir(place, loop)

    # Calling

    def go_first(self, check: Callable[[], object] = _nothing) -> None:
        """Block until no other client is busy."""
        if not self._is_first(None):
            self.sleep(0.0, check)

    async def go_first_async(self) -> None:
        """Wait until no other client is busy, as a task."""
        if not self._is_first(anyio.get_current_task().id):
            await self.sleep_async(0.0)

    def _is_first(self, task: int | None) -> bool:
        scheduler = self._scheduler
        with scheduler.lock:
            place = scheduler.here()
            return scheduler.is_active(place if task is None else (place, task))

    @contextmanager
    def calling(self) -> Generator[None]:
        """Stop the time while a request is under way."""
        scheduler, loop = self._scheduler, running_loop()
        with scheduler.lock:
            place = scheduler.come(self.seat, loop)
            place.calls += 1
        try:
            yield
        finally:
            with scheduler.lock:
                place.calls -= 1
                scheduler.stir(place, loop)

    # Reading a stream

    def follow(self, peer: object) -> None:
        """Mark the stream at this end of a connection as read by the clock."""
        with self._scheduler.lock:
            line = self._scheduler.lines.get(peer)
            if line is not None:
                line.known = True

    @contextmanager
    def reading(
        self, peer: object, deadline: float, expire: Callable[[], object], *, blocking: bool
    ) -> Generator[Callable[[int], None]]:
        """Stop the time while a stream's bytes are on their way, and only then.

        Yields a function to call with the bytes that came; `expire` is called at the deadline.
        """
        scheduler, loop = self._scheduler, running_loop()
        with scheduler.lock:
            line = scheduler.lines.get(peer)
            place = scheduler.come(self.seat, loop)
            wait: Wait | None = None
            if line is None:
                place.calls += 1
            else:
                wake = expire if blocking else _soon(loop, expire)
                wait = scheduler.wait(self.seat.number, deadline, None, wake, line)
                wait.place = place
                if blocking:
                    place.blocked = wait
                else:
                    place.reads.add(wait)
                scheduler.go_on()
        taken = 0

        def took(size: int) -> None:
            nonlocal taken
            taken += size

        try:
            yield took
        finally:
            with scheduler.lock:
                if line is None or wait is None:
                    place.calls -= 1
                else:
                    line.taken += taken
                    place.blocked = None
                    place.reads.discard(wait)
                scheduler.end(wait)
                scheduler.stir(place, loop)

    def hang_up(self, peer: object) -> None:
        """Mark the stream at this end of a connection as no longer read."""
        with self._scheduler.lock:
            _cut(self._scheduler, peer, self._scheduler.lines.get(peer))


class StreamPart:
    """A fake router's side of a clock for one stream; a client on the same clock may read it."""

    def __init__(self, scheduler: Scheduler, peer: object) -> None:
        self._scheduler = scheduler
        self._peer = peer
        with scheduler.lock:
            self._line = scheduler.lines[peer] = scheduler.line()

    def send(self, size: int) -> None:
        """Count bytes before they leave."""
        with self._scheduler.lock:
            self._line.sent += size

    async def sleep_until(self, moment: float) -> None:
        """Sleep until this moment, and until the client has read what was sent."""
        scheduler, line = self._scheduler, self._line
        woken = anyio.Event()
        with scheduler.lock:
            wake = _soon(running_loop(), woken.set)
            line.wait = wait = scheduler.wait(line.number, moment, line, wake, line)
            line.awake = False
            scheduler.advance(0.0)
        try:
            await _until(woken, scheduler)
        finally:
            with scheduler.lock:
                line.wait = None
                scheduler.end(wait)

    def close(self) -> None:
        """Mark the stream as ended."""
        with self._scheduler.lock:
            _cut(self._scheduler, self._peer, self._line)


def _cut(scheduler: Scheduler, peer: object, line: Line | None) -> None:
    if line is not None and scheduler.lines.get(peer) is line:
        del scheduler.lines[peer]
        line.known = False
        scheduler.end(line.wait)
        scheduler.go_on()


async def _until(woken: anyio.Event, scheduler: Scheduler) -> None:
    while not woken.is_set():
        with Until(real.now() + LOOK):
            await woken.wait()
        _look(scheduler)


def _look(scheduler: Scheduler) -> None:
    with scheduler.lock:
        scheduler.look()


def _soon(loop: Loop | None, call: Callable[[], object]) -> Callable[[], object]:
    return call if loop is None else partial(loop.call, call)
