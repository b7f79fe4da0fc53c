"""The same work many times at once, in threads that end together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.signals import Interrupts

from .beginning import Once, begin
from .blocking import Group, SyncIO
from .protocol import IN_FLIGHT
from .target import Link

Work = Callable[[SyncIO], None]

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

    def waiting(self) -> AbstractContextManager[object]:
        """Return a context to enter while the caller waits for threads."""
        return nullcontext()


def fan_out(
    link: Link,
    works: Sequence[Work],
    interrupts: Interrupts | None = None,
    network: Network | None = None,
    *,
    at_once: int | None = None,
) -> list[Exception]:
    """Run works concurrently, each thread with its own IO, and return what failed.

    There is a thread for each work, or `at_once` of them, of which one does every `at_once`-th
    work; so many requests, or `IN_FLIGHT`, may be under way. What has no thread, because the system
    has no more of them, the caller does itself.

    The first failure stops the others, whose own failures come after it in the list: where it must
    not, a work returns instead. An interrupt of the caller stops them too, and is raised once they
    have ended.
    """
    network = network or Network()
    group = Group(most=at_once or IN_FLIGHT)
    failures: list[Exception] = []
    count = len(works) if at_once is None else min(at_once, len(works))
    ios = [network.blocking(link, interrupts, group) for _ in range(count)]
    shares = [_Share(io, works[i::count], group, failures) for i, io in enumerate(ios)]
    begun: list[_Share] = []
    try:
        for share in shares:
            begun.append(share)
            if not begin(share.run):
                begun.pop()
        for share in shares:
            if share not in begun:
                share.run()
        with network.waiting():
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
    """The works of one thread."""

    def __init__(
        self, io: SyncIO, works: Sequence[Work], group: Group, failures: list[Exception]
    ) -> None:
        self.ended = Once()
        self._io, self._works, self._group, self._failures = io, works, group, failures

    def run(self) -> None:
        try:
            for work in self._works:
                self._do(work)
        finally:
            self._io.close()
            self.ended.set()

    def _do(self, work: Work) -> None:
        try:
            work(self._io)
        except Exception as error:
            self._failures.append(error)
            self._group.stop()
