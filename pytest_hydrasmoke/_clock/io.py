"""Network I/O by a virtual clock: subclasses of `_transport`, which does not know them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from pytest_hydrasmoke._base import clock as real
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.exchange import HttpIO, HttpStream
from pytest_hydrasmoke._transport.gathering import Gathering
from pytest_hydrasmoke._transport.links import Link
from pytest_hydrasmoke._transport.protocol import Answer, Request, Stream

from .virtual import Pipe, Schedule, VirtualClock

VIRTUAL_SLICE = 0.01
"""Seconds of real time until a read notices that its virtual deadline has come."""


def blocking_io(link: Link, clock: VirtualClock | None) -> SyncIO:
    """Return a blocking `IO`, by a virtual clock if there is one."""
    return SyncIO(link) if clock is None else VirtualSyncIO(link, clock)


def async_io(link: Link, clock: VirtualClock | None) -> AsyncIO:
    """Return an `IO` under anyio, by a virtual clock if there is one."""
    return AsyncIO(link) if clock is None else VirtualAsyncIO(link, clock)


class _Virtual(HttpIO):
    """What both kinds of `IO` do by a virtual clock."""

    schedule: Schedule

    def now(self) -> float:
        return self.schedule.now

    def monotonic(self, deadline: float) -> float:
        return real.now() + deadline - self.now()

    async def send(self, request: Request, deadline: float) -> Answer:
        await self.sleep(0.0)  # until it is its turn
        with self.schedule.calling():
            return await super().send(request, deadline)

    async def open(self, request: Request, deadline: float) -> VirtualStream:
        await self.sleep(0.0)
        with self.schedule.calling():
            return VirtualStream(self.schedule, await self.open_now(request, deadline))


class VirtualSyncIO(_Virtual, SyncIO):
    """Blocking `IO` by a virtual clock; one for each thread."""

    def __init__(
        self,
        link: Link,
        clock: VirtualClock,
        interrupts: Interrupts | None = None,
        group: Gathering | None = None,
    ) -> None:
        # A virtual deadline may come at any moment of real time.
        super().__init__(link, interrupts=interrupts, group=group, slice_seconds=VIRTUAL_SLICE)
        self._clock = clock
        self.schedule = clock._schedule  # pyright: ignore[reportPrivateUsage]
        self.schedule.take()
        if group is not None:
            # Time stands still until each of a group has begun.
            self.schedule.expected.add(self)

    def within(self, group: Gathering) -> VirtualSyncIO:
        return VirtualSyncIO(self.link, self._clock, self._interrupts, group)

    async def sleep(self, seconds: float) -> None:
        self.schedule.expected.discard(self)
        self.schedule.sleep(seconds, self.check)

    @contextmanager
    def waiting(self) -> Generator[None]:
        self.schedule.leave()
        try:
            yield
        finally:
            self.schedule.take()

    def close(self) -> None:
        super().close()
        self.schedule.expected.discard(self)
        self.schedule.leave()


class VirtualAsyncIO(_Virtual, AsyncIO):
    """`IO` under anyio, by a virtual clock."""

    def __init__(self, link: Link, clock: VirtualClock) -> None:
        super().__init__(link)
        self._clock = clock
        self.schedule = clock._schedule  # pyright: ignore[reportPrivateUsage]
        self.schedule.take()

    async def sleep(self, seconds: float) -> None:
        await self.schedule.sleep_async(seconds)

    async def aclose(self) -> None:
        await super().aclose()
        self.schedule.leave()


class VirtualStream(Stream):
    """A stream, by a virtual clock."""

    def __init__(self, schedule: Schedule, stream: HttpStream) -> None:
        self._schedule = schedule
        self._stream = stream
        # Another one than a fake's sends in real time.
        self._pipe = schedule.pipes.get(stream.peer) or Pipe(schedule)
        self.status = stream.status
        self.headers = stream.headers

    async def read(self, deadline: float) -> bytes:
        with self._schedule.waiting(deadline, self._stream.expire, self._pipe) as wait:
            chunk = await self._stream.read(deadline)
            wait.took = len(chunk)
            return chunk

    async def close(self) -> None:
        self._pipe.close()
        await self._stream.close()
