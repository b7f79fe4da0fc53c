"""Who goes on next on a virtual clock: the book-keeping of a small discrete-event simulation.

The law: time stands still while anybody who goes by the clock is busy. Once all of them wait, it
moves to the earliest point that somebody waits for, and exactly one goes on. Of equal points the
one whose seat was taken first comes first. So what happens, and in which order, is the same each
time, however threads, tasks and sockets are scheduled.

Who is busy is known of whoever sleeps or calls by the clock. One who waits for something else, the
end of another thread, say, can't be told from one who computes: it holds the time up for
`STALL_SECONDS` of real time, and is waited for no more until it uses the clock again. So what a
thread that computes for longer than that does next is not in the order of virtual time.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
import weakref
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

from pytest_hydrasmoke._base.errors import hide_own_frames

__tracebackhide__ = hide_own_frames

LOOK = 0.02
"""Seconds of real time after which a waiter looks whether anybody still keeps it waiting."""
STALL_SECONDS = 1.0
"""Seconds of real time without any progress after which nobody is waited for any more."""
ROUNDS = 20
"""Rounds of an event loop in which nothing happens, until all of its tasks are taken to wait."""


@dataclass(frozen=True)
class Loop:
    """The event loop of a thread."""

    soon: Callable[[Callable[[], object]], object]

    def call(self, work: Callable[[], object]) -> None:
        """Have something called in the loop soon, from any thread."""
        # A loop that has ended has nobody left who would wait.
        with suppress(RuntimeError):
            self.soon(work)


class Place:
    """A thread, and what it is at."""

    def __init__(self, thread: threading.Thread) -> None:
        self.thread = weakref.ref(thread)
        self.calls = 0
        """Requests under way."""
        self.blocked: Wait | None = None
        """What the thread as a whole waits for."""
        self.reads: set[Wait] = set()
        """Where tasks of the thread's event loop read a stream."""
        self.quiet = False
        """Whether the thread's event loop has nothing to do."""
        self.stirs = 0
        self.settling: Loop | None = None
        """The loop that is watched until it has nothing to do."""

    @property
    def alive(self) -> bool:
        thread = self.thread()
        return thread is not None and thread.is_alive()

    @property
    def rests(self) -> bool:
        if self.blocked is not None:
            return self.blocked.rests
        return self.quiet and not self.calls and all(read.rests for read in self.reads)


class Seat:
    """A client's place in the order, from when it is made; `place` is the thread that uses it."""

    def __init__(self, number: int, place: Place) -> None:
        self.number = number
        self.place = place
        self.away = False
        """Whether its thread is at something that is not the clock's affair."""

    @property
    def holds(self) -> bool:
        return not (self.away or self.place.rests) and self.place.alive


class Line:
    """A stream on its way from a fake router to a client."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.sent = self.taken = 0
        self.known = False
        """Whether its reader goes by the clock too; anybody else's time is moved by hand."""
        self.wait: Wait | None = None
        """The router's wait until it sends more."""
        self.awake = False
        """Whether the router is about to send."""

    @property
    def rests(self) -> bool:
        # Bytes that nobody has taken yet are on their way to make somebody busy.
        return self.wait is not None and not self.wait.woken and self.sent == self.taken


class Wait:
    """Somebody who waits for a point in time; `wake` is called once it is their turn."""

    def __init__(
        self, until: float, rank: tuple[int, int], who: object, wake: Callable[[], object]
    ) -> None:
        self.until = until
        self.rank = rank
        self.who = who
        self.wake = wake
        self.woken = False
        self.place: Place | None = None
        self.line: Line | None = None

    @property
    def rests(self) -> bool:
        return not self.woken and (self.line is None or self.line.rests)

    @property
    def of_a_stream(self) -> bool:
        return self.place is None

    def counts(self, now: float) -> bool:
        """Return whether time may move to it."""
        if self.line is None or not self.of_a_stream:
            return True
        return self.line.known and (self.until <= now or self.line.sent == self.line.taken)


class Scheduler:
    """Who goes by one clock, and who goes on next; every method is to be called under `lock`."""

    def __init__(self, start: float) -> None:
        self.lock = threading.Lock()
        self.now = start
        self.lines: dict[object, Line] = {}
        self._seats: weakref.WeakValueDictionary[int, Seat] = weakref.WeakValueDictionary()
        self._places: weakref.WeakKeyDictionary[threading.Thread, Place] = (
            weakref.WeakKeyDictionary()
        )
        self._waits: set[Wait] = set()
        self._numbers = itertools.count()
        self._active: object = None
        self._progress = self._looked = time.monotonic()

    # Coming and going

    def here(self) -> Place:
        """Return the place of the thread that asks."""
        thread = threading.current_thread()
        place = self._places.get(thread)
        if place is None:
            place = self._places[thread] = Place(thread)
        return place

    def seat(self) -> Seat:
        """Take the next seat."""
        number = next(self._numbers)
        seat = self._seats[number] = Seat(number, self.here())
        return seat

    def line(self) -> Line:
        """Take the next place in the order for a stream."""
        return Line(next(self._numbers))

    def come(self, seat: Seat, loop: Loop | None) -> Place:
        """Be busy, in this thread; where a loop runs, until that has nothing to do."""
        self._seats[seat.number] = seat
        seat.place, seat.away = self.here(), False
        self.stir(seat.place, loop)
        return seat.place

    def leave(self, seat: Seat) -> None:
        """Go by this clock no more, until the seat is used again."""
        self._seats.pop(seat.number, None)
        self.go_on()

    def stand_aside(self, aside: bool, others: Collection[Seat], loop: Loop | None) -> None:
        """Have nobody wait for this thread, which is about to wait for others; or end that."""
        place = self.here()
        for seat in self._seats.values():
            if seat.place is place and seat not in others:
                seat.away = aside
        self.stir(place, loop)
        self.go_on()

    def stir(self, place: Place, loop: Loop | None) -> None:
        """Note that something happens in a thread."""
        self._progress = time.monotonic()
        place.stirs += 1
        place.quiet = False
        # One watch at a time: a loop that is blocked would pile them up.
        if loop is not None and place.settling != loop:
            place.settling = loop
            self._watch(place, loop, place.stirs, ROUNDS)

    def _watch(self, place: Place, loop: Loop, stirs: int, rounds: int) -> None:
        def look() -> None:
            with self.lock:
                if place.stirs != stirs:
                    self._watch(place, loop, place.stirs, ROUNDS)
                elif rounds:
                    self._watch(place, loop, stirs, rounds - 1)
                else:
                    place.quiet, place.settling = True, None
                    self.go_on()

        loop.call(look)

    # Waiting

    def wait(
        self, number: int, until: float, who: object, wake: Callable[[], object], line: Line | None
    ) -> Wait:
        """Wait for a point in time; `end` takes it back."""
        wait = Wait(until, (number, next(self._numbers)), who, wake)
        wait.line = line
        self._waits.add(wait)
        return wait

    def end(self, wait: Wait | None) -> None:
        """Wait no more."""
        if wait is not None:
            self._waits.discard(wait)

    def is_active(self, who: object) -> bool:
        """Return whether the one who went on last is this one."""
        return self._active == who

    def advance(self, seconds: float) -> None:
        """Move time on by hand."""
        self.now += seconds
        self._free_strangers()
        self.go_on()

    def go_on(self) -> None:
        """Let the next one go on, if all others wait."""
        if any(seat.holds for seat in self._seats.values()):
            return
        if any(line.awake for line in self.lines.values()):
            return
        counting = [wait for wait in self._waits if wait.counts(self.now)]
        chosen = min(counting, key=lambda wait: (wait.until, wait.rank), default=None)
        if chosen is None or chosen.until == math.inf:
            return
        self.now = max(self.now, chosen.until)
        self._active = chosen.who
        if chosen.place is not None:
            self.stir(chosen.place, None)
        else:
            assert chosen.line is not None
            chosen.line.awake = True
            self._progress = time.monotonic()
        self._wake(chosen)
        self._free_strangers()

    def _wake(self, wait: Wait) -> None:
        self._waits.discard(wait)
        wait.woken = True
        wait.wake()

    def _free_strangers(self) -> None:
        for wait in list(self._waits):
            stranger = wait.of_a_stream and wait.line is not None and not wait.line.known
            if stranger and wait.until <= self.now:
                self._wake(wait)

    # The net

    def look(self) -> None:
        """Wait no more for those who have gone, or are at something else."""
        now = time.monotonic()
        if now - self._looked >= LOOK / 2:
            self._looked = now
            stuck = now - self._progress > STALL_SECONDS
            for seat in self._seats.values():
                if seat.holds and not (seat.place.calls or seat.place.blocked or seat.place.reads):
                    seat.away = stuck
            if stuck:
                for line in self.lines.values():
                    line.awake = False
        self.go_on()
