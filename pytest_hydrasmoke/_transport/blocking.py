"""Blocking network I/O."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import httpcore

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.errors import TransportError
from pytest_hydrasmoke._base.signals import Interrupts

from .deadlines import SLICE, DeadlineBackend
from .exchange import HttpIO, HttpStream, build, core_proxy
from .failures import FAULTS, lost, queue_timeout
from .gathering import Gathering, fan_out
from .links import Link
from .protocol import LAST_CHANCE, Request, Share, StoppedError
from .steps import Steps

T = TypeVar("T")

KEEP_IDLE = 2.0
"""Seconds for which a connection is kept: only for the next call of a burst.

Servers drop idle ones after 5 s or more; one that is dropped while a request is on its way looks
like a lost answer.
"""


class SyncStream(HttpStream):
    """A blocking stream."""

    _io: SyncIO

    def __init__(self, io: SyncIO, response: httpcore.Response) -> None:
        super().__init__(io, response)
        self._chunks = response.iter_stream()

    async def read(self, deadline: float) -> bytes:
        self._limit(self._io.monotonic(deadline))
        try:
            return next(self._chunks, b"")
        except BaseException as error:
            raised = error
        raise self._io.lost(raised)

    def expire(self) -> None:
        self._limit(-math.inf)

    async def close(self) -> None:
        try:
            self._response.close()
            return
        except BaseException as error:
            raised = error
        finally:
            # The connection may serve another request, which has its own deadline.
            self._limit(math.inf)
        self._io.lost(raised)  # A network failure has ended the stream, too.

    def _limit(self, deadline: float) -> None:
        if self._network is not None:
            self._network.limit(deadline)


class SyncIO(HttpIO):
    """`IO` that blocks; one for each thread."""

    def __init__(
        self,
        link: Link,
        *,
        interrupts: Interrupts | None = None,
        group: Gathering | None = None,
        slice_seconds: float = SLICE,
    ) -> None:
        super().__init__(link)
        self._interrupts = interrupts or Interrupts()
        self._group = group
        self._backend = DeadlineBackend(self.cleanup_deadline, slice_seconds)
        self._pool: httpcore.ConnectionPool | None = None
        self._proxy: str | None = None
        self.closed = False
        """Whether its owner has closed it once: who uses it again closes what is open then."""

    def within(self, group: Gathering) -> SyncIO:
        """Return a copy for another thread, of a group: with its own connections."""
        return SyncIO(self.link, interrupts=self._interrupts, group=group)

    async def sleep(self, seconds: float) -> None:
        until = clock.now() + seconds
        self.check()
        while (left := min(until, self.cleanup_deadline() - LAST_CHANCE) - clock.now()) > 0:
            # In slices, as reads are: a signal may shorten it.
            clock.pause(min(left, SLICE))
            self.check()

    def check(self) -> None:
        """Raise `StoppedError` once the group, if there is one, is stopped."""
        if self._group is not None and self._group.stopped.is_set():
            raise StoppedError

    def cleanup_deadline(self) -> float:
        until = self._interrupts.deadline()
        return until if self._group is None else min(self._group.until, until)

    async def open_now(self, request: Request, deadline: float) -> SyncStream:
        self.check()
        pool = self._pool or self._connect()
        # httpcore takes these for durations; `deadlines` reads them as the deadlines that they are.
        timeout = dict.fromkeys(("connect", "read", "write"), self.monotonic(deadline))
        steps = Steps(self._proxy)
        try:
            # In no variable: it has the token.
            stream = SyncStream(
                self,
                pool.handle_request(
                    build(self.link, request, timeout=timeout, trace=steps.on_step)
                ),
            )
            self._interrupts.answered()
            return stream
        except BaseException as error:
            raised = error
        raise self.lost(raised, steps)

    async def _enter(self, deadline: float) -> None:
        group = self._group
        if group is None:
            return

        def enter(seconds: float) -> bool:
            # After a signal nobody waits for others.
            return group.enter(min(seconds, SLICE)) or self.cleanup_deadline() < math.inf

        if not clock.wait(enter, deadline - self.now()):
            raise queue_timeout()

    def _leave(self) -> None:
        if self._group is not None:
            self._group.leave()

    async def grace(self, seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        # Only a signal interrupts blocking code.
        with self._interrupts.hold():
            return await work()

    async def _side_by_side(
        self, shares: Sequence[Share], failures: dict[int, Exception], most: int, together: bool
    ) -> None:
        fan_out(self, shares, failures, most, together)

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
        self.closed = True
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _connect(self) -> httpcore.ConnectionPool:
        proxy = self._proxy = self.link.proxy()
        pool = self._pool = httpcore.ConnectionPool(
            ssl_context=self.link.ssl_context(),
            proxy=core_proxy(proxy),
            max_connections=None,
            max_keepalive_connections=1,
            keepalive_expiry=KEEP_IDLE,
            network_backend=self._backend,
        )
        # Where an interrupt comes as the pool has just taken its lock, it takes it once more.
        vars(pool)["_optional_thread_lock"] = threading.RLock()
        return pool
