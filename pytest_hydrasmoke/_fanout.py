"""The same work many times at once, in threads that end together."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ._address import Link
from ._answers import no_turn
from ._clock import VirtualClock, standing_aside
from ._errors import TransportError
from ._io import SyncIO
from ._signals import Interrupts
from ._wire import IN_FLIGHT

JOIN = 5.0
"""Seconds for all threads to end once they are told to; only one that connects takes long."""
LAST_WORDS = 1.0
"""Seconds for what is under way when a group is stopped: of a provision that is broken off nobody
knows whether it was carried out."""


@dataclass
class Group:
    """What the threads of one fan-out share: a way to stop them, and a bound on their requests."""

    stopped: threading.Event = field(default_factory=threading.Event)
    until: float = math.inf
    """The point of `time.monotonic()` at which what is under way must be over."""
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(IN_FLIGHT))

    def stop(self) -> None:
        """Let nothing more begin."""
        if not self.stopped.is_set():
            self.until = time.monotonic() + LAST_WORDS
            self.stopped.set()


class GroupIO(SyncIO):
    """The IO of one thread of a group."""

    def __init__(
        self,
        link: Link,
        group: Group,
        interrupts: Interrupts,
        clock: VirtualClock | None = None,
    ) -> None:
        self._group = group
        super().__init__(link, clock=clock, interrupts=interrupts)

    @property
    def stopped(self) -> bool:
        return self._group.stopped.is_set()

    def hurry(self) -> float:
        return min(self._group.until, super().hurry())

    def check(self) -> None:
        """Raise `TransportError` once the group is stopped."""
        if self.stopped:
            raise TransportError("stopped with the rest of its group", reached=False)

    @contextmanager
    def admitted(self, deadline: float) -> Generator[None]:
        """Wait until one of the group's requests may be sent; raises `TransportError`."""
        if not self._group.gate.acquire(timeout=max(deadline - self.now(), 0.0)):
            raise no_turn(self.link.base_url)
        try:
            yield
        finally:
            self._group.gate.release()


def fan_out(
    link: Link,
    works: Sequence[Callable[[SyncIO], None]],
    interrupts: Interrupts,
    clock: VirtualClock | None = None,
) -> list[Exception]:
    """Run every work in a thread with an IO of its own, and give what failed.

    The first failure stops the others, whose own failures come after it in the list. An
    interrupt of the caller stops them too, and comes out once they have ended.
    """
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

    # Waited for by events: an interrupted `Thread.join` takes the thread for ended (until 3.12).
    begun: list[threading.Event] = []
    try:
        # All of them before the first begins: in this order they take turns on a virtual clock.
        ios = [GroupIO(link, group, interrupts, clock) for _ in works]
        for work, io in zip(works, ios, strict=True):
            ended = threading.Event()
            threading.Thread(target=run, args=(work, io, ended), daemon=True).start()
            begun.append(ended)
        with standing_aside(clock, [io.part for io in ios]):
            for ended in begun:
                ended.wait()
    except BaseException:
        group.stop()
        until = time.monotonic() + JOIN
        for ended in begun:
            ended.wait(max(until - time.monotonic(), 0.0))
        raise
    return failures
