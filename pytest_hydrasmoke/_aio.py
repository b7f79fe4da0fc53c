"""The way to reach the network under anyio: asyncio or trio, whichever runs."""

from __future__ import annotations

import contextlib
import copy
import math
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, TypeVar

import anyio
import httpcore
import httpx

from ._address import Link
from ._answers import append, given, no_turn
from ._clock import Part, VirtualClock, part_of
from ._errors import TransportError, own_frames
from ._grace import shielded
from ._http import FAULTS, build, lost, ssl_context
from ._wire import IN_FLIGHT, Reply, Request

__tracebackhide__ = own_frames

T = TypeVar("T")

TOO_LATE = TimeoutError("the deadline has passed")


class _Steps:
    """Watch a request being connected.

    A time-out there, after which nothing was sent, is told from one of waiting; and a connection
    that is broken off in its TLS handshake is closed, which httpcore leaves open.
    """

    def __init__(self) -> None:
        self.connecting = False
        self._connected: object = None

    async def note(self, step: str, info: Mapping[str, object]) -> None:
        if step.endswith("send_request_headers.started"):
            self.connecting = getattr(info["request"], "method", None) == b"CONNECT"
        elif step.endswith(("connect_tcp.started", "start_tls.started")):
            self.connecting = True
        elif step.endswith("connect_tcp.complete"):
            self._connected = info["return_value"]

    async def close(self) -> None:
        if self.connecting and isinstance(self._connected, httpcore.AsyncNetworkStream):
            with anyio.CancelScope(shield=True):
                await self._connected.aclose()


class AsyncStream:
    """A stream read under anyio."""

    def __init__(self, io: AsyncIO, response: httpx.Response) -> None:
        self._io = io
        self._response = response
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._chunks: AsyncIterator[bytes] = aiter(response.stream)
        self.status = response.status_code
        self.headers: Mapping[str, str] = dict(response.headers)
        self._peer: object = None
        network: object = response.extensions.get("network_stream")
        if io.part is not None and isinstance(network, httpcore.AsyncNetworkStream):
            self._peer = network.get_extra_info("client_addr")[:2]
            io.part.follow(self._peer)

    async def read(self, deadline: float) -> bytes:
        part = self._io.part
        return given(
            await self.attempt_read(deadline)
            if part is None
            else await self._attempt_read_by(part, deadline)
        )

    async def _attempt_read_by(self, part: Part, deadline: float) -> bytes | TransportError:
        with (
            anyio.CancelScope() as scope,
            part.reading(self._peer, deadline, scope.cancel, blocking=False) as took,
        ):
            chunk = await self.attempt_read(deadline)
            if not isinstance(chunk, TransportError):
                took(len(chunk))
            return chunk
        return lost(TOO_LATE, self._io.link)

    async def attempt_read(self, deadline: float) -> bytes | TransportError:
        raised: BaseException = TOO_LATE
        try:
            # A scope, not `fail_after`, which takes twice as long to enter and leave.
            with anyio.move_on_after(self._io.left(deadline)):
                return await anext(self._chunks, b"")
        except BaseException as error:
            raised = error
        return lost(raised, self._io.link)

    async def close(self) -> None:
        if self._io.part is not None:
            self._io.part.hang_up(self._peer)
        with anyio.CancelScope(shield=True), contextlib.suppress(*FAULTS, httpx.StreamError):
            await self._response.aclose()
            # trio complains of an async generator that was not run to its end.
            while await anext(self._chunks, b""):
                pass


class AsyncIO:
    """`IO` under anyio: asyncio or trio, whichever runs.

    Keeps no idle connection, since a fixture that is not async could not close it.
    """

    def __init__(self, link: Link, *, clock: VirtualClock | None = None) -> None:
        self.link = link
        self._clock = clock
        self.part = None if clock is None else part_of(clock)
        self._transport = httpx.AsyncHTTPTransport(
            # For plain http a context without any certificate: it costs nothing.
            verify=ssl_context(link) or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            proxy=link.proxy(),
        )
        self._gate: anyio.CapacityLimiter | None = None

    def now(self) -> float:
        return self._clock.now() if self._clock else time.monotonic()

    def left(self, deadline: float) -> float:
        return max(deadline - self.now(), 0.0)

    async def sleep(self, seconds: float) -> None:
        if self.part is None:
            await anyio.sleep(max(seconds, 0.0))
        else:
            await self.part.sleep_async(seconds)

    def branch(self) -> AsyncIO:
        """Give a task of many an order of its own among those who go by a virtual clock."""
        if self._clock is None:
            return self
        branch = copy.copy(self)
        branch.part = part_of(self._clock)
        return branch

    async def send(self, request: Request, deadline: float) -> Reply:
        with await self._turn():
            return await self._send(request, deadline)

    async def _send(self, request: Request, deadline: float) -> Reply:
        if self._gate is None:
            self._gate = anyio.CapacityLimiter(IN_FLIGHT)
        with anyio.move_on_after(self.left(deadline)) as waiting:
            await self._gate.acquire()
        if waiting.cancelled_caught:
            raise no_turn(self.link.base_url)
        try:
            stream = given(await self._attempt_open(request, deadline))
            body = bytearray()
            try:
                while chunk := given(await stream.attempt_read(deadline)):
                    append(body, chunk)
            finally:
                await stream.close()
        finally:
            self._gate.release()
        return Reply(stream.status, stream.headers, bytes(body))

    async def open(self, request: Request, deadline: float) -> AsyncStream:
        with await self._turn():
            return given(await self._attempt_open(request, deadline))

    async def _turn(self) -> contextlib.AbstractContextManager[object]:
        if self.part is None:
            return contextlib.nullcontext()
        await self.part.take_turn_async()
        return self.part.calling()

    async def _attempt_open(
        self, request: Request, deadline: float
    ) -> AsyncStream | TransportError:
        steps = _Steps()
        raised: BaseException = TOO_LATE
        try:
            built = build(self.link, request, trace=steps.note)
            with anyio.move_on_after(self.left(deadline)):
                return AsyncStream(self, await self._transport.handle_async_request(built))
        except BaseException as error:
            raised = error
        await steps.close()
        return lost(raised, self.link, connecting=steps.connecting)

    def hurry(self) -> float:
        return math.inf

    async def grace(self, seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return await shielded(seconds, work)

    async def aclose(self) -> None:
        """Let go of the transport; nothing is open between calls."""
        await self._transport.aclose()
        if self.part is not None:
            self.part.leave()
