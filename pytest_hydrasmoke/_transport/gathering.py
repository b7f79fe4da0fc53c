"""The same work many times at once, in threads that end together."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.threads import Once, begin

from .protocol import IN_FLIGHT, IO, Share, do, drive

INTERVAL = 0.25
"""Seconds of one wait: on Windows, Ctrl-C comes through between two waits, and never in one."""
JOIN = 5.0
"""Seconds for all threads to end once stopped; only one that connects takes long."""
STOP_SECONDS = 1.0
"""Seconds for requests under way to end when a group is stopped.

Of a request that is cut off, nobody knows whether it was carried out.
"""


class ThreadIO(IO, Protocol):
    """A blocking IO, as many of it work side by side."""

    def within(self, group: Gathering) -> ThreadIO:
        """Return one for another thread of a group."""
        ...

    def waiting(self) -> contextlib.AbstractContextManager[object]:
        """Wait for others in the body of a `with`."""
        ...

    def close(self) -> None:
        """Close its connections."""


class Gathering:
    """Shared by threads that end together: a way to stop them, and a limit on their requests."""

    def __init__(self, most: int = IN_FLIGHT) -> None:
        self.stopped = threading.Event()
        self.until = math.inf
        """The `clock.now()` by which requests under way must end."""
        # One for each request that may begin now; a semaphore would wait by a clock of its own.
        self._places = queue.SimpleQueue[None]()
        for _ in range(most):
            self.leave()

    def enter(self, seconds: float) -> bool:
        """Take a place, if there is one within so many seconds."""
        with contextlib.suppress(queue.Empty):
            self._places.get(timeout=seconds)
            return True
        return False

    def leave(self) -> None:
        """Give a place back."""
        self._places.put(None)

    def stop(self) -> None:
        """Prevent new requests."""
        if not self.stopped.is_set():
            self.until = clock.now() + STOP_SECONDS
            self.stopped.set()


def fan_out(
    io: ThreadIO, shares: Sequence[Share], failures: dict[int, Exception], most: int, together: bool
) -> None:
    """Do each share of a gathering in a thread of its own, with its own IO.

    At most so many requests are under way. A share without a thread, because the system has no
    more of them, the caller does itself.
    """
    group = Gathering(most)
    failed = group.stop if together else int

    works: dict[Once, Callable[[], None]] = {}
    for share in shares:
        ended = Once()
        works[ended] = partial(_carry_out, share, io.within(group), failures, failed, ended)
    begun: list[Once] = []
    try:
        for ended, work in works.items():
            begun.append(ended)
            if not begin(work):
                begun.pop()
        for ended, work in works.items():
            if ended not in begun:
                work()
        with io.waiting():
            for ended in begun:
                while not clock.wait(ended.wait, INTERVAL):
                    pass
    except BaseException:
        group.stop()
        until = clock.now() + JOIN
        for ended in begun:
            clock.wait(ended.wait, until - clock.now())
        raise


def _carry_out(
    share: Share,
    own: ThreadIO,
    failures: dict[int, Exception],
    failed: Callable[[], object],
    ended: Once,
) -> None:
    try:
        for one in share:
            try:
                drive(do(own, [one], failures, failed))
            except RuntimeError as error:  # It has awaited something other than its IO.
                failures[one[0]] = error
                failed()
    finally:
        own.close()
        ended.set()
