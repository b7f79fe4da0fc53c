"""Time as tests need it: it passes only when everybody who goes by it waits.

`VirtualClock` is what tests hold, `Part` what a client has of it, `StreamPart` what a fake router
has of it for one stream. `scheduler` decides; here is how threads and tasks wait for its word.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager, suppress
from functools import partial

import anyio

from pytest_hydrasmoke._base.errors import own_frames
from pytest_hydrasmoke._base.public import public

from .scheduler import LOOK, Line, Loop, Seat, Turns, Wait

__tracebackhide__ = own_frames


@public
class VirtualClock:
    """Stand in for real time: seconds pass, from `start`, when all who go by it sleep.

    Give it to clients and to their fake router. Whoever sleeps is woken alone, in the order of
    time and, at one time, in the order in which the clients were made: so several clients, in
    threads or in tasks, do the same things in the same order each time.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._turns = Turns(start)
        self._own = threading.local()

    def now(self) -> float:
        """Give the time in seconds."""
        return self._turns.now

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass: at once, unless somebody else has something to do before."""
        part: Part | None = getattr(self._own, "part", None)
        if part is None:
            part = self._own.part = part_of(self)
        part.sleep(seconds)

    def advance(self, seconds: float) -> None:
        """Move time on by hand; raises ValueError for a negative number."""
        if seconds < 0:
            raise ValueError(f"time moves forward only, not by {seconds} s")
        with self._turns.lock:
            self._turns.advance(seconds)

    def _stream(self, peer: object) -> StreamPart:
        return StreamPart(self._turns, peer)


def part_of(clock: VirtualClock) -> Part:
    """Give a client its part in a clock."""
    return Part(clock._turns)  # pyright: ignore[reportPrivateUsage]


@contextmanager
def standing_aside(clock: VirtualClock, handed_over: Collection[Part]) -> Generator[None]:
    """Let time pass although this thread waits for others, and not by the clock.

    Parts that were handed over to other threads are waited for as ever.
    """
    turns = clock._turns  # pyright: ignore[reportPrivateUsage]
    seats = {part.seat for part in handed_over}
    with turns.lock:
        turns.stand_aside(True, seats, _loop())
    try:
        yield
    finally:
        with turns.lock:
            turns.stand_aside(False, seats, _loop())


def _nothing() -> None:
    pass


class Part:
    """What one client has of a clock."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        with turns.lock:
            self.seat: Seat = turns.seat()

    def leave(self) -> None:
        """Take part no more, until the next sleep or call."""
        with self._turns.lock:
            self._turns.leave(self.seat)

    # Sleeping

    def sleep(self, seconds: float, check: Callable[[], object] = _nothing) -> None:
        """Block until it is later; `check` may raise to break that off."""
        turns, woken, loop = self._turns, threading.Event(), _loop()
        with turns.lock:
            place = turns.come(self.seat, loop)
            until = turns.now + max(seconds, 0.0)
            wait = turns.wait(self.seat.number, until, place, woken.set, None)
            wait.place, place.blocked = place, wait
            turns.go_on()
        try:
            while not woken.wait(LOOK):
                check()
                _look(turns)
        finally:
            with turns.lock:
                place.blocked = None
                turns.end(wait)
                turns.stir(place, loop)

    async def sleep_async(self, seconds: float) -> None:
        """Sleep as a task of an event loop."""
        turns, loop = self._turns, _loop()
        woken = anyio.Event()
        with turns.lock:
            place = turns.come(self.seat, loop)
            until = turns.now + max(seconds, 0.0)
            who = (place, anyio.get_current_task().id)
            wait = turns.wait(self.seat.number, until, who, _soon(loop, woken.set), None)
            wait.place = place
        try:
            while not woken.is_set():
                with anyio.move_on_after(LOOK):
                    await woken.wait()
                _look(turns)
        finally:
            with turns.lock:
                turns.end(wait)
                turns.stir(place, loop)

    # Calling

    def take_turn(self, check: Callable[[], object] = _nothing) -> None:
        """Block until no other client is at work."""
        if not self._has_turn(None):
            self.sleep(0.0, check)

    async def take_turn_async(self) -> None:
        """Wait until no other client is at work, as a task."""
        if not self._has_turn(anyio.get_current_task().id):
            await self.sleep_async(0.0)

    def _has_turn(self, task: int | None) -> bool:
        turns = self._turns
        with turns.lock:
            place = turns.here()
            return turns.is_turn_of(place if task is None else (place, task))

    @contextmanager
    def calling(self) -> Generator[None]:
        """Hold the time still while a request is under way."""
        turns, loop = self._turns, _loop()
        with turns.lock:
            place = turns.come(self.seat, loop)
            place.calls += 1
        try:
            yield
        finally:
            with turns.lock:
                place.calls -= 1
                turns.stir(place, loop)

    # Reading a stream

    def follow(self, peer: object) -> None:
        """Say that the stream to this end of a connection is read by the clock."""
        with self._turns.lock:
            line = self._turns.lines.get(peer)
            if line is not None:
                line.known = True

    @contextmanager
    def reading(
        self, peer: object, deadline: float, expire: Callable[[], object], *, blocking: bool
    ) -> Generator[Callable[[int], None]]:
        """Hold the time still while a stream's bytes are on their way, and only then.

        Gives what is to be told of the bytes that came; `expire` is called at the deadline.
        """
        turns, loop = self._turns, _loop()
        with turns.lock:
            line = turns.lines.get(peer)
            place = turns.come(self.seat, loop)
            wait: Wait | None = None
            if line is None:
                place.calls += 1
            else:
                wake = expire if blocking else _soon(loop, expire)
                wait = turns.wait(self.seat.number, deadline, None, wake, line)
                wait.place = place
                if blocking:
                    place.blocked = wait
                else:
                    place.reads.add(wait)
                turns.go_on()
        taken = 0

        def took(size: int) -> None:
            nonlocal taken
            taken += size

        try:
            yield took
        finally:
            with turns.lock:
                if line is None or wait is None:
                    place.calls -= 1
                else:
                    line.taken += taken
                    place.blocked = None
                    place.reads.discard(wait)
                turns.end(wait)
                turns.stir(place, loop)

    def hang_up(self, peer: object) -> None:
        """Say that the stream to this end of a connection is read no more."""
        with self._turns.lock:
            _cut(self._turns, peer, self._turns.lines.get(peer))


class StreamPart:
    """What a fake router has of a clock for one stream; a client on the same clock may read it."""

    def __init__(self, turns: Turns, peer: object) -> None:
        self._turns = turns
        self._peer = peer
        with turns.lock:
            self._line = turns.lines[peer] = turns.line()

    def send(self, size: int) -> None:
        """Tell of bytes before they leave."""
        with self._turns.lock:
            self._line.sent += size

    async def sleep_until(self, moment: float) -> None:
        """Sleep until this moment, and until the client has taken what was sent."""
        turns, line = self._turns, self._line
        woken = anyio.Event()
        with turns.lock:
            wake = _soon(_loop(), woken.set)
            line.wait = wait = turns.wait(line.number, moment, line, wake, line)
            line.awake = False
            turns.advance(0.0)
        try:
            while not woken.is_set():
                with anyio.move_on_after(LOOK):
                    await woken.wait()
                _look(turns)
        finally:
            with turns.lock:
                line.wait = None
                turns.end(wait)

    def close(self) -> None:
        """Say that the stream has ended."""
        with self._turns.lock:
            _cut(self._turns, self._peer, self._line)


def _cut(turns: Turns, peer: object, line: Line | None) -> None:
    if line is not None and turns.lines.get(peer) is line:
        del turns.lines[peer]
        line.known = False
        turns.end(line.wait)
        turns.go_on()


def _look(turns: Turns) -> None:
    with turns.lock:
        turns.look()


def _loop() -> Loop | None:
    """Give the event loop that runs in this thread, if one does."""
    with suppress(RuntimeError):
        return Loop(asyncio.get_running_loop().call_soon_threadsafe)
    if "trio" in sys.modules:
        from trio.lowlevel import current_trio_token

        with suppress(RuntimeError):
            return Loop(current_trio_token().run_sync_soon)
    return None


def _soon(loop: Loop | None, call: Callable[[], object]) -> Callable[[], object]:
    return call if loop is None else partial(loop.call, call)
