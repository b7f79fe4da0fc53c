"""Network I/O under anyio, on asyncio or trio."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import anyio
import httpcore

from .alarms import Until, running_loop, shielded, sleep
from .exchange import HttpIO, HttpStream, build, core_proxy
from .failures import FAULTS, lost, queue_timeout
from .links import Link
from .names import NamingBackend
from .protocol import IN_FLIGHT, Request, Share, do
from .steps import Steps

T = TypeVar("T")

TOO_LATE = TimeoutError("the deadline has passed")


class AsyncStream(HttpStream):
    """A stream read under anyio."""

    _io: AsyncIO

    def __init__(self, io: AsyncIO, response: httpcore.Response) -> None:
        super().__init__(io, response)
        self._chunks = response.aiter_stream()
        self._limit = Until(math.inf, running_loop())

    async def read(self, deadline: float) -> bytes:
        raised: BaseException = TOO_LATE
        self._limit = Until(self._io.monotonic(deadline), self._limit.loop)
        try:
            with self._limit:
                return await anext(self._chunks, b"")
        except BaseException as error:
            raised = error
        raise lost(raised, self._io.link)

    def expire(self) -> None:
        self._limit.ring()

    async def close(self) -> None:
        with anyio.CancelScope(shield=True), contextlib.suppress(*FAULTS):
            await self._response.aclose()
            # trio warns about an async generator that was not run to its end.
            while await anext(self._chunks, b""):
                pass


class AsyncIO(HttpIO):
    """`IO` under anyio, on asyncio or trio.

    Keeps no idle connection, since a fixture that is not async could not close it.
    """

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._proxy = link.proxy()
        self._backend = NamingBackend()
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=link.ssl_context(),
            proxy=core_proxy(self._proxy),
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=self._backend,
        )
        self._places: anyio.Semaphore | None = None

    async def sleep(self, seconds: float) -> None:
        await sleep(seconds)

    async def open_now(self, request: Request, deadline: float) -> AsyncStream:
        steps, until = Steps(self._proxy), self.monotonic(deadline)
        raised: BaseException = TOO_LATE
        try:
            # Only for connecting: the backend divides it among the addresses of a name.
            timeout = {"connect": until}
            # The request is in no variable: it has the token.
            with Until(until):
                return AsyncStream(
                    self,
                    await self._pool.handle_async_request(
                        build(self.link, request, timeout=timeout, trace=steps.on_step_async)
                    ),
                )
        except BaseException as error:
            raised = error
        if not steps.sent and isinstance(steps.connected, httpcore.AsyncNetworkStream):
            # Cancelled during its TLS handshake, it is left open by httpcore.
            with anyio.CancelScope(shield=True):
                await steps.connected.aclose()
        if raised is TOO_LATE and not steps.sent and steps.connected is None:
            raised = self._backend.late_name() or raised
        raise lost(raised, self.link, steps)

    async def _enter(self, deadline: float) -> None:
        if self._places is None:
            self._places = anyio.Semaphore(IN_FLIGHT)
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            with Until(self.monotonic(deadline)) as waiting:
                await self._places.acquire()
            if waiting.cancelled_caught:
                raise queue_timeout() from None

    def _leave(self) -> None:
        assert self._places is not None
        self._places.release()

    async def _side_by_side(
        self, shares: Sequence[Share], failures: dict[int, Exception], most: int, together: bool
    ) -> None:
        async with anyio.create_task_group() as group:
            failed = group.cancel_scope.cancel if together else int
            for share in shares:
                group.start_soon(do, self, share, failures, failed)

    def cleanup_deadline(self) -> float:
        return math.inf

    async def grace(self, seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return await shielded(seconds, work)

    async def aclose(self) -> None:
        """Close the pool; nothing is open between calls."""
        await self._pool.aclose()
