"""Network I/O under anyio, on asyncio or trio."""

from __future__ import annotations

import contextlib
import math
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Self, TypeVar

import anyio
import httpcore

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.errors import TransportError, hide_own_frames

from .alarms import Until, running_loop, sleep
from .attempts import append, queue_timeout, unwrap
from .certificates import ssl_context
from .grace import shielded
from .httpx_adapter import FAULTS, build, core_proxy, core_request, headers_of, lost, network_of
from .names import NamingBackend
from .protocol import IN_FLIGHT, Reply, Request, Stream, Work, alone
from .steps import Steps
from .target import Link

__tracebackhide__ = hide_own_frames

T = TypeVar("T")

TOO_LATE = TimeoutError("the deadline has passed")


async def _close_unsent(steps: Steps) -> None:
    """Close a connection cancelled during its TLS handshake, which httpcore leaves open."""
    if not steps.sent and isinstance(steps.connected, httpcore.AsyncNetworkStream):
        with anyio.CancelScope(shield=True):
            await steps.connected.aclose()


class _Content:
    """A request's body; unlike httpx's, no async generator: trio warns of one that is not ended."""

    def __init__(self, data: bytes) -> None:
        self._parts = iter([data])

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data = next(self._parts, None)
        if data is None:
            raise StopAsyncIteration
        return data


class AsyncStream:
    """A stream read under anyio."""

    def __init__(self, io: AsyncIO, response: httpcore.Response) -> None:
        self._io = io
        self._response = response
        self.status = response.status
        self.headers = headers_of(response)
        self._chunks = response.aiter_stream()
        self._limit = Until(math.inf, running_loop())

    @property
    def peer(self) -> object:
        """The connection's local address and port; None if there is none."""
        network = network_of(self._response)
        if isinstance(network, httpcore.AsyncNetworkStream):
            return network.get_extra_info("client_addr")[:2]
        return None

    async def read(self, deadline: float) -> bytes:
        return unwrap(await self.attempt_read(deadline))

    async def attempt_read(self, deadline: float) -> bytes | TransportError:
        raised: BaseException = TOO_LATE
        self._limit = Until(self._io.monotonic(deadline), self._limit.loop)
        try:
            with self._limit:
                return await anext(self._chunks, b"")
        except BaseException as error:
            raised = error
        return lost(raised, self._io.link)

    def expire(self) -> None:
        """End the deadline of the current read at once; from any thread."""
        self._limit.ring()

    async def close(self) -> None:
        with anyio.CancelScope(shield=True), contextlib.suppress(*FAULTS):
            await self._response.aclose()
            # trio warns about an async generator that was not run to its end.
            while await anext(self._chunks, b""):
                pass


class AsyncIO:
    """`IO` under anyio, on asyncio or trio.

    Keeps no idle connection, since a fixture that is not async could not close it.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self._proxy = link.proxy()
        self._backend = NamingBackend()
        self._pool = httpcore.AsyncConnectionPool(
            # For plain http, a context without certificates: it costs nothing.
            ssl_context=ssl_context(link) or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            proxy=core_proxy(self._proxy),
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=self._backend,
        )
        self._gate: anyio.Semaphore | None = None

    def now(self) -> float:
        return clock.now()

    def monotonic(self, deadline: float) -> float:
        """Convert a `now()` to a `clock.now()`."""
        return deadline

    async def sleep(self, seconds: float) -> None:
        await sleep(seconds)

    def to(self, link: Link) -> AsyncIO:
        """Return a copy for another URL, or with another token."""
        return AsyncIO(link)

    async def send(self, request: Request, deadline: float) -> Reply:
        if self._gate is None:
            self._gate = anyio.Semaphore(IN_FLIGHT)
        try:
            self._gate.acquire_nowait()
        except anyio.WouldBlock:
            with Until(self.monotonic(deadline)) as waiting:
                await self._gate.acquire()
            if waiting.cancelled_caught:
                raise queue_timeout() from None
        try:
            stream = unwrap(await self._attempt_open(request, deadline))
            body = bytearray()
            try:
                while chunk := unwrap(await stream.attempt_read(deadline)):
                    append(body, chunk)
            finally:
                await stream.close()
        finally:
            self._gate.release()
        return Reply(stream.status, stream.headers, bytes(body))

    async def open(self, request: Request, deadline: float) -> Stream:
        return await self.open_now(request, deadline)

    async def open_now(self, request: Request, deadline: float) -> AsyncStream:
        """Open a stream in this task."""
        return unwrap(await self._attempt_open(request, deadline))

    async def _attempt_open(
        self, request: Request, deadline: float
    ) -> AsyncStream | TransportError:
        steps = Steps(self._proxy)
        raised: BaseException = TOO_LATE
        try:
            # Only for connecting: the backend divides it among the addresses of a name.
            timeout = {"connect": self.monotonic(deadline)}
            built = build(self.link, request, timeout=timeout, trace=steps.on_step_async)
            sent = core_request(built, _Content(built.content))
            with Until(self.monotonic(deadline)):
                return AsyncStream(self, await self._pool.handle_async_request(sent))
        except BaseException as error:
            raised = error
        await _close_unsent(steps)
        if raised is TOO_LATE and not steps.sent and steps.connected is None:
            raised = self._backend.late_name() or raised
        return lost(raised, self.link, steps)

    def cleanup_deadline(self) -> float:
        return math.inf

    async def grace(self, seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return await shielded(seconds, work)

    async def gather(
        self, works: Sequence[Work], *, at_once: int | None = None, together: bool = False
    ) -> Mapping[int, Exception]:
        if len(works) == 1:
            return await alone(self, works[0])
        failures: dict[int, Exception] = {}
        count = min(at_once or len(works), len(works))

        async def share(first: int) -> None:
            for number in range(first, len(works), count):
                try:
                    await works[number](self)
                except Exception as error:
                    failures[number] = error
                    if together:
                        group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for first in range(count):
                group.start_soon(share, first)
        return failures

    async def aclose(self) -> None:
        """Close the pool; nothing is open between calls."""
        await self._pool.aclose()
