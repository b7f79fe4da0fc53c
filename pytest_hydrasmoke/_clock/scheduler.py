"""Who runs next on a virtual clock: the state of a small discrete-event simulation.

The rule: time stands still while any user of the clock is busy. Once all of them wait, it moves to
the earliest point that one of them waits for, and exactly that one runs. Among equal points the
earliest seat goes first. So what happens, and in which order, is the same each time, however
threads, tasks and sockets are scheduled.

Users are known to be busy or waiting only when they sleep or call by the clock. One that waits for
something else, such as the end of another thread, looks like one that computes: it holds the time
up for `STALL_SECONDS` of real time, and is then ignored until it uses the clock again. So a thread
that computes for longer leaves the order of virtual time.
"""

from __future__ import annotations

import itertools
import math
import threading
import weakref
from collections.abc import Callable, Collection

from pytest_hydrasmoke._base import clock as real
from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._transport.alarms import Loop

__tracebackhide__ = hide_own_frames

LOOK = 0.02
"""Seconds of real time after which a waiter checks what still keeps it waiting."""
STALL_SECONDS = 1.0
"""Seconds of real time without any progress after which busy users are ignored."""
ROUNDS = 20
"""Idle rounds of an event loop after which all of its tasks count as waiting."""


class Place:
    """A thread, and its activity."""

    def __init__(self, thread: threading.Thread) -> None:
        self.thread = weakref.ref(thread)
        self.calls = 0
        """Requests under way."""
        self.blocked: Wait | None = None
        """What the thread as a whole waits for."""
        self.reads: set[Wait] = set()
        """Streams that tasks of the thread's event loop are reading."""
        self.quiet = False
        """Whether the thread's event loop has nothing to do."""
        self.stirs = 0
        """How often it was active."""
        self.settling: Loop | None = None
        """The loop being watched until it is idle."""

    @property
    def alive(self) -> bool:
        thread = self.thread()
        return thread is not None and thread.is_alive()

    @property
    def rests(self) -> bool:
        """Whether the thread and all of its tasks wait."""
        if self.blocked is not None:
            return self.blocked.rests
        return self.quiet and not self.calls and all(read.rests for read in self.reads)


class Seat:
    """A client's place in the order, from its creation; `place` is the thread that uses it."""

    def __init__(self, number: int, place: Place) -> None:
        self.number = number
        self.place = place
        self.away = False
        """Whether its thread is busy with something outside the clock."""

    @property
    def holds(self) -> bool:
        """Whether it is busy, so that time must stand still."""
        return not (self.away or self.place.rests) and self.place.alive


class Line:
    """A stream from a fake router to a client."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.sent = self.taken = 0
        self.known = False
        """Whether its reader uses the clock too; for other readers, time is moved by hand."""
        self.wait: Wait | None = None
        """The router's wait before it sends more."""
        self.awake = False
        """Whether the router is about to send."""

    @property
    def rests(self) -> bool:
        # Bytes not yet read will make their reader busy.
        return self.wait is not None and not self.wait.woken and self.sent == self.taken


class Wait:
    """A wait for a point in time; `wake` is called when it is its turn."""

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
    """The users of one clock, and which runs next; call every method under `lock`."""

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
        self._progress = self._looked = real.now()

    # Joining and leaving

    def here(self) -> Place:
        """Return the place of the calling thread."""
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
        """Take the next place in the order, for a stream."""
        return Line(next(self._numbers))

    def come(self, seat: Seat, loop: Loop | None) -> Place:
        """Mark this thread as busy; if a loop runs in it, until that is idle."""
        self._seats[seat.number] = seat
        seat.place, seat.away = self.here(), False
        self.stir(seat.place, loop)
        return seat.place

    def leave(self, seat: Seat) -> None:
        """Stop using this clock, until the seat is used again."""
        self._seats.pop(seat.number, None)
        self.go_on()

    def stand_aside(self, aside: bool, others: Collection[Seat], loop: Loop | None) -> None:
        """Exempt this thread, which is about to wait for others; or end the exemption."""
        place = self.here()
        for seat in self._seats.values():
            if seat.place is place and seat not in others:
                seat.away = aside
        self.stir(place, loop)
        self.go_on()

    def stir(self, place: Place, loop: Loop | None) -> None:
        """Note activity in a thread."""
        self._progress = real.now()
        place.stirs += 1
        place.quiet = False
        # One watch at a time: a blocked loop would pile them up.
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
        """Register a wait for a point in time; `end` removes it."""
        wait = Wait(until, (number, next(self._numbers)), who, wake)
        wait.line = line
        self._waits.add(wait)
        return wait

    def end(self, wait: Wait | None) -> None:
        """Remove a wait."""
        if wait is not None:
            self._waits.discard(wait)

    def is_active(self, who: object) -> bool:
        """Return whether this is the one that ran last."""
        return self._active == who

    def advance(self, seconds: float) -> None:
        """Move time forward by hand."""
        self.now += seconds
        self._wake_unknown()
        self.go_on()

    def go_on(self) -> None:
        """Let the next one run, if all others wait."""
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
            self._progress = real.now()
        self._wake(chosen)
        self._wake_unknown()

    def _wake(self, wait: Wait) -> None:
        self._waits.discard(wait)
        wait.woken = True
        wait.wake()

    def _wake_unknown(self) -> None:
        for wait in list(self._waits):
            unknown = wait.of_a_stream and wait.line is not None and not wait.line.known
            if unknown and wait.until <= self.now:
                self._wake(wait)

    # Safety net

    def look(self) -> None:
        """Ignore users that have gone, or are busy elsewhere."""
        now = real.now()
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
