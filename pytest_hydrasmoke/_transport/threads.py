"""The same work many times at once, in threads that end together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from pytest_hydrasmoke._base.signals import Interrupts

from .blocking import Group, SyncIO
from .target import Link

INTERVAL = 0.25
"""Seconds of one wait: on Windows, Ctrl-C comes through between two waits, and never in one."""
JOIN = 5.0
"""Seconds for all threads to end once stopped; only one that connects takes long."""


class Network:
    """How a run reaches its router: with a separate IO in each thread."""

    def blocking(
        self, link: Link, interrupts: Interrupts | None = None, group: Group | None = None
    ) -> SyncIO:
        """Return the IO of a thread."""
        return SyncIO(link, interrupts=interrupts, group=group)

    def waiting(self, ios: Sequence[SyncIO]) -> AbstractContextManager[object]:
        """Return a context to enter while the caller waits for the threads of these."""
        return nullcontext()


def fan_out(
    link: Link,
    works: Sequence[Callable[[SyncIO], None]],
    interrupts: Interrupts | None = None,
    network: Network | None = None,
    at_once: int | None = None,
) -> list[Exception]:
    """Run every work in a thread with its own IO, and return what failed.

    The first failure stops the others, whose own failures come after it in the list. An interrupt
    of the caller stops them too, and is raised once they have ended.
    """
    network = network or Network()
    group = Group()
    failures: list[Exception] = []

    def run(work: Callable[[SyncIO], None], io: SyncIO, ended: threading.Event) -> None:
        try:
            work(io)
        except Exception as error:
            failures.append(error)
            group.stop()
        finally:
            io.close()
            ended.set()

    # Wait for events: an interrupted `Thread.join` takes the thread for ended (until 3.12).
    begun: list[threading.Event] = []
    try:
        # Create all before the first begins: in this order they take turns on a virtual clock.
        ios = [network.blocking(link, interrupts, group) for _ in works]
        for work, io in zip(works, ios, strict=True):
            ended = threading.Event()
            threading.Thread(target=run, args=(work, io, ended), daemon=True).start()
            begun.append(ended)
        with network.waiting(ios):
            for ended in begun:
                while not ended.wait(INTERVAL):
                    pass
    except BaseException:
        group.stop()
        until = time.monotonic() + JOIN
        for ended in begun:
            ended.wait(max(until - time.monotonic(), 0.0))
        raise
    return failures
