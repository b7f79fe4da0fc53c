"""The same work many times at once, in threads that end together."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.errors import hide_own_frames

from .beginning import Once, begin
from .protocol import IN_FLIGHT, Work, drive

if TYPE_CHECKING:
    from .blocking import SyncIO

__tracebackhide__ = hide_own_frames

INTERVAL = 0.25
"""Seconds of one wait: on Windows, Ctrl-C comes through between two waits, and never in one."""
JOIN = 5.0
"""Seconds for all threads to end once stopped; only one that connects takes long."""
STOP_SECONDS = 1.0
"""Seconds for requests under way to end when a group is stopped.

Of a request that is cut off, nobody knows whether it was carried out.
"""


@dataclass
class Gathering:
    """Shared by threads that end together: a way to stop them, and a limit on their requests."""

    stopped: threading.Event = field(default_factory=threading.Event)
    until: float = math.inf
    """The `clock.now()` by which requests under way must end."""
    most: int = IN_FLIGHT
    """How many requests may be under way."""
    places: queue.SimpleQueue[None] = field(default_factory=lambda: queue.SimpleQueue[None]())
    """One for each request that may begin now; a semaphore would wait by a clock of its own."""

    def __post_init__(self) -> None:
        for _ in range(self.most):
            self.places.put(None)

    def enter(self, seconds: float) -> bool:
        """Take a place, if there is one within so many seconds."""
        with contextlib.suppress(queue.Empty):
            self.places.get(timeout=seconds)
            return True
        return False

    def stop(self) -> None:
        """Prevent new requests."""
        if not self.stopped.is_set():
            self.until = clock.now() + STOP_SECONDS
            self.stopped.set()


def fan_out(
    io: SyncIO, works: Sequence[Work], *, at_once: int | None = None, together: bool = False
) -> Mapping[int, Exception]:
    """Do what `IO.gather` does, in threads, each with its own IO.

    There is a thread for each work, or `at_once` of them, of which one does every `at_once`-th
    work; so many requests, or `IN_FLIGHT`, may be under way. What has no thread, because the system
    has no more of them, the caller does itself.
    """
    group = Gathering(most=at_once or IN_FLIGHT)
    failures: dict[int, Exception] = {}
    count = min(at_once or len(works), len(works))
    numbered = [*enumerate(works)]
    shares = [
        _Share(io.to(io.link, group), numbered[i::count], failures, group if together else None)
        for i in range(count)
    ]
    begun: list[_Share] = []
    try:
        for share in shares:
            begun.append(share)
            if not begin(share.run):
                begun.pop()
        for share in shares:
            if share not in begun:
                share.run()
        with io.waiting():
            for share in begun:
                while not clock.wait(share.ended.wait, INTERVAL):
                    pass
    except BaseException:
        group.stop()
        until = clock.now() + JOIN
        for share in begun:
            clock.wait(share.ended.wait, until - clock.now())
        raise
    return failures


class _Share:
    """The works of one thread; a failure stops their group, if there is one."""

    def __init__(
        self,
        io: SyncIO,
        works: Sequence[tuple[int, Work]],
        failures: dict[int, Exception],
        group: Gathering | None,
    ) -> None:
        self.ended = Once()
        self._io, self._works, self._failures, self._group = io, works, failures, group

    def run(self) -> None:
        try:
            for number, work in self._works:
                self._do(number, work)
        finally:
            self._io.close()
            self.ended.set()

    def _do(self, number: int, work: Work) -> None:
        try:
            drive(work(self._io))
        except Exception as error:
            self._failures[number] = error
            if self._group is not None:
                self._group.stop()
