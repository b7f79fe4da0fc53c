"""Network I/O by a virtual clock: subclasses of `_transport`, which does not know them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import anyio

from pytest_hydrasmoke._base import clock as real
from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._transport.asynchronous import TOO_LATE, AsyncIO, AsyncStream
from pytest_hydrasmoke._transport.blocking import Group, SyncIO, SyncStream
from pytest_hydrasmoke._transport.httpx_adapter import lost
from pytest_hydrasmoke._transport.protocol import Reply, Request
from pytest_hydrasmoke._transport.target import Link
from pytest_hydrasmoke._transport.threads import Network

from .virtual import Part, VirtualClock, part_of, standing_aside

__tracebackhide__ = hide_own_frames

VIRTUAL_SLICE = 0.01
"""Seconds of real time until a read notices that its virtual deadline has come."""


def blocking_io(link: Link, clock: VirtualClock | None) -> SyncIO:
    """Return a blocking `IO`, by a virtual clock if there is one."""
    return SyncIO(link) if clock is None else VirtualSyncIO(link, clock)


def async_io(link: Link, clock: VirtualClock | None) -> AsyncIO:
    """Return an `IO` under anyio, by a virtual clock if there is one."""
    return AsyncIO(link) if clock is None else VirtualAsyncIO(link, clock)


class VirtualNetwork(Network):
    """A run's network by a virtual clock: its threads take turns."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def blocking(
        self, link: Link, interrupts: Interrupts | None = None, group: Group | None = None
    ) -> VirtualSyncIO:
        return VirtualSyncIO(link, self._clock, interrupts=interrupts, group=group)

    def waiting(self, ios: Sequence[SyncIO]) -> AbstractContextManager[object]:
        parts = [io.part for io in ios if isinstance(io, VirtualSyncIO)]
        return standing_aside(self._clock, parts)


class VirtualSyncIO(SyncIO):
    """Blocking `IO` by a virtual clock; one for each thread."""

    def __init__(
        self,
        link: Link,
        clock: VirtualClock,
        *,
        interrupts: Interrupts | None = None,
        group: Group | None = None,
    ) -> None:
        # A virtual deadline may come at any moment of real time.
        super().__init__(link, interrupts=interrupts, group=group, slice_seconds=VIRTUAL_SLICE)
        self._clock = clock
        self.part = part_of(clock)

    def to(self, link: Link) -> VirtualSyncIO:
        return VirtualSyncIO(link, self._clock, interrupts=self._interrupts, group=self._group)

    def now(self) -> float:
        return self._clock.now()

    def monotonic(self, deadline: float) -> float:
        return real.now() + deadline - self.now()

    async def sleep(self, seconds: float) -> None:
        self.part.sleep(seconds, self.check)

    async def send(self, request: Request, deadline: float) -> Reply:
        self.part.go_first(self.check)
        with self.part.calling():
            return await super().send(request, deadline)

    async def open(self, request: Request, deadline: float) -> VirtualSyncStream:
        self.part.go_first(self.check)
        with self.part.calling():
            stream = self.open_now(request, deadline)
        return VirtualSyncStream(self.part, stream)

    def close(self) -> None:
        super().close()
        self.part.leave()


class VirtualSyncStream:
    """A blocking stream, by a virtual clock."""

    def __init__(self, part: Part, stream: SyncStream) -> None:
        self._part = part
        self._stream = stream
        self.status = stream.status
        self.headers: Mapping[str, str] = stream.headers
        self._peer = stream.peer
        part.follow(self._peer)

    async def read(self, deadline: float) -> bytes:
        stream = self._stream
        with self._part.reading(self._peer, deadline, stream.expire, blocking=True) as took:
            chunk = await stream.read(deadline)
            took(len(chunk))
            return chunk

    async def close(self) -> None:
        self._part.hang_up(self._peer)
        await self._stream.close()


class VirtualAsyncIO(AsyncIO):
    """`IO` under anyio, by a virtual clock."""

    def __init__(self, link: Link, clock: VirtualClock) -> None:
        super().__init__(link)
        self._clock = clock
        self.part = part_of(clock)

    def now(self) -> float:
        return self._clock.now()

    def monotonic(self, deadline: float) -> float:
        return real.now() + deadline - self.now()

    def to(self, link: Link) -> VirtualAsyncIO:
        return VirtualAsyncIO(link, self._clock)

    async def sleep(self, seconds: float) -> None:
        await self.part.sleep_async(seconds)

    def branch(self) -> AsyncIO:
        branch = copy.copy(self)
        branch.part = part_of(self._clock)
        return branch

    async def send(self, request: Request, deadline: float) -> Reply:
        await self.part.go_first_async()
        with self.part.calling():
            return await super().send(request, deadline)

    async def open(self, request: Request, deadline: float) -> VirtualAsyncStream:
        await self.part.go_first_async()
        with self.part.calling():
            stream = await self.open_now(request, deadline)
        return VirtualAsyncStream(self, stream)

    async def aclose(self) -> None:
        await super().aclose()
        self.part.leave()


class VirtualAsyncStream:
    """A stream under anyio, by a virtual clock."""

    def __init__(self, io: VirtualAsyncIO, stream: AsyncStream) -> None:
        self._io = io
        self._stream = stream
        self.status = stream.status
        self.headers: Mapping[str, str] = stream.headers
        self._peer = stream.peer
        io.part.follow(self._peer)

    async def read(self, deadline: float) -> bytes:
        stream = self._stream
        with (
            anyio.CancelScope() as scope,
            self._io.part.reading(self._peer, deadline, scope.cancel, blocking=False) as took,
        ):
            chunk = await stream.read(deadline)
            took(len(chunk))
            return chunk
        raise lost(TOO_LATE, self._io.link)

    async def close(self) -> None:
        self._io.part.hang_up(self._peer)
        await self._stream.close()
