"""Blocking network I/O.

A failed attempt is returned, not raised, from the block that caught it: an error raised inside
`except` would carry httpx's frames, and with them the request's headers, into every traceback. What
can't be returned, an interrupt or a bug, is raised again without those frames (`lost`).
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import httpcore

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.errors import TransportError, hide_own_frames
from pytest_hydrasmoke._base.signals import Interrupts

from .attempts import append, queue_timeout, unwrap
from .certificates import ssl_context
from .deadlines import SLICE, DeadlineBackend
from .httpx_adapter import FAULTS, build, core_proxy, core_request, headers_of, lost, network_of
from .protocol import LAST_CHANCE, Reply, Request, StoppedError, Stream, Work, alone
from .steps import Steps
from .target import Link
from .threads import Gathering, fan_out
from .tls import Bounded

__tracebackhide__ = hide_own_frames

T = TypeVar("T")

# A connection is kept only for the next call of a burst. Servers drop idle ones after 5 s or more,
# and a connection dropped while a request is on its way looks like a lost answer.
KEEP_IDLE = 2.0


class SyncStream:
    """A blocking stream."""

    def __init__(self, io: SyncIO, response: httpcore.Response) -> None:
        self._io = io
        self._response = response
        self.status = response.status
        self.headers = headers_of(response)
        self._chunks = response.iter_stream()
        network = network_of(response)
        # A custom transport of a test may have no network stream.
        self._network = network if isinstance(network, Bounded) else None

    @property
    def peer(self) -> object:
        """The connection's local address and port; None if there is none."""
        return self._network and self._network.get_extra_info("client_addr")[:2]

    async def read(self, deadline: float) -> bytes:
        return unwrap(self.attempt_read(deadline))

    def expire(self) -> None:
        """End the deadline of the current read at once; from any thread."""
        assert self._network is not None
        self._network.limit(-math.inf)

    async def close(self) -> None:
        self.close_now()

    def attempt_read(self, deadline: float) -> bytes | TransportError:
        if self._network is not None:
            self._network.limit(self._io.monotonic(deadline))
        try:
            return next(self._chunks, b"")
        except BaseException as error:
            raised = error
        return self._io.lost(raised)

    def close_now(self) -> None:
        raised: BaseException | None = None
        try:
            self._response.close()
        except BaseException as error:
            raised = error
        if self._network is not None:
            # The connection may serve another request, which has its own deadline.
            self._network.limit(math.inf)
        if raised is not None:
            self._io.lost(raised)  # A network failure has ended the stream, too.


class SyncIO:
    """`IO` that blocks; one for each thread."""

    def __init__(
        self,
        link: Link,
        *,
        interrupts: Interrupts | None = None,
        group: Gathering | None = None,
        slice_seconds: float = SLICE,
    ) -> None:
        self.link = link
        self._interrupts = interrupts or Interrupts()
        self._group = group
        self._backend = DeadlineBackend(self.cleanup_deadline, slice_seconds)
        self._pool: httpcore.ConnectionPool | None = None
        self._proxy: str | None = None

    def to(self, link: Link, group: Gathering | None = None) -> SyncIO:
        """Return a copy for another URL or token, or another thread: with its own connections."""
        return SyncIO(link, interrupts=self._interrupts, group=group or self._group)

    def now(self) -> float:
        return clock.now()

    def monotonic(self, deadline: float) -> float:
        """Convert a `now()` to a `clock.now()`."""
        return deadline

    async def sleep(self, seconds: float) -> None:
        until = clock.now() + seconds
        self.check()
        while (left := min(until, self.cleanup_deadline() - LAST_CHANCE) - clock.now()) > 0:
            # In slices, as reads are: a signal may shorten it.
            clock.pause(min(left, SLICE))
            self.check()

    def check(self) -> None:
        """Raise `StoppedError` once the group, if there is one, is stopped."""
        if self.stopped:
            raise StoppedError

    @property
    def stopped(self) -> bool:
        """Whether this IO must start no more requests."""
        return self._group is not None and self._group.stopped.is_set()

    def cleanup_deadline(self) -> float:
        until = self._interrupts.deadline()
        return until if self._group is None else min(self._group.until, until)

    async def send(self, request: Request, deadline: float) -> Reply:
        with self._admitted(deadline):
            return unwrap(self._attempt_send(request, deadline))

    async def open(self, request: Request, deadline: float) -> Stream:
        return self.open_now(request, deadline)

    def open_now(self, request: Request, deadline: float) -> SyncStream:
        """Open a stream in this thread."""
        return unwrap(self._attempt_open(request, deadline))

    @contextlib.contextmanager
    def _admitted(self, deadline: float) -> Generator[None]:
        """Wait for a free place among the group's requests; raises `TransportError`."""
        if self._group is None:
            yield
            return
        group = self._group

        def enter(seconds: float) -> bool:
            # After a signal nobody waits for others.
            return group.enter(min(seconds, SLICE)) or self.cleanup_deadline() < math.inf

        if not clock.wait(enter, deadline - self.now()):
            raise queue_timeout()
        try:
            yield
        finally:
            self._group.places.put(None)

    async def grace(self, seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        # Only a signal interrupts blocking code.
        with self._interrupts.hold():
            return await work()

    async def gather(
        self, works: Sequence[Work], *, at_once: int | None = None, together: bool = False
    ) -> Mapping[int, Exception]:
        if len(works) == 1:
            return await alone(self, works[0])
        return fan_out(self, works, at_once=at_once, together=together)

    def waiting(self) -> AbstractContextManager[object]:
        """Return a context to enter while this thread waits for others."""
        return nullcontext()

    def lost(self, raised: BaseException, steps: Steps | None = None) -> TransportError:
        """Return the error of an attempt; re-raise what is no network failure."""
        if not isinstance(raised, FAULTS):
            # An interrupt inside httpcore's own bookkeeping can leave its pool unusable: a held
            # lock, for which the next request would wait without a deadline.
            self._pool = None
            self._backend.close()
        return lost(raised, self.link, steps)

    def close(self) -> None:
        """Close idle connections; the next call opens new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _attempt_send(self, request: Request, deadline: float) -> Reply | TransportError:
        stream = self._attempt_open(request, deadline)
        if isinstance(stream, TransportError):
            return stream
        body = bytearray()
        try:
            while chunk := stream.attempt_read(deadline):
                if isinstance(chunk, TransportError):
                    return chunk
                append(body, chunk)
        finally:
            stream.close_now()
        return Reply(stream.status, stream.headers, bytes(body))

    def _attempt_open(self, request: Request, deadline: float) -> SyncStream | TransportError:
        self.check()
        pool = self._pool or self._connect()
        # httpcore takes these for durations; `deadlines` reads them as the deadlines that they are.
        timeout = dict.fromkeys(("connect", "read", "write"), self.monotonic(deadline))
        steps = Steps(self._proxy)
        try:
            built = build(self.link, request, timeout=timeout, trace=steps.on_step)
            stream = SyncStream(self, pool.handle_request(core_request(built, [built.content])))
            self._interrupts.answered()
            return stream
        except BaseException as error:
            raised = error
        return self.lost(raised, steps)

    def _connect(self) -> httpcore.ConnectionPool:
        proxy = self._proxy = self.link.proxy()
        pool = self._pool = httpcore.ConnectionPool(
            ssl_context=ssl_context(self.link),
            proxy=core_proxy(proxy),
            max_connections=None,
            max_keepalive_connections=1,
            keepalive_expiry=KEEP_IDLE,
            network_backend=self._backend,
        )
        # Where an interrupt comes as the pool has just taken its lock, it takes it once more.
        vars(pool)["_optional_thread_lock"] = threading.RLock()
        return pool
