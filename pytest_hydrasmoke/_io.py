"""The two ways to reach the network: blocking, and under anyio. The only importer of httpx.

A failed attempt is returned, not raised, from the block that caught it: an error raised inside
`except` would drag httpx's frames, and with them the headers of the request, into every traceback.
"""

from __future__ import annotations

import contextlib
import math
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpcore
import httpx

from ._address import Link
from ._answers import append, given, lost_attempt
from ._clock import VirtualClock
from ._errors import TransportError, own_frames
from ._grace import shielded
from ._redact import safe_line
from ._signals import Interrupts
from ._sockets import SLICE, DeadlineBackend, DeadlineStream
from ._wire import IN_FLIGHT, LAST_CHANCE, Reply, Request

__tracebackhide__ = own_frames

T = TypeVar("T")

# A connection is kept for the next call of a burst only. Servers drop idle ones after 5 s and
# more; one that is dropped while a request is on its way looks like a lost answer.
KEEP_IDLE = 2.0

_NOT_REACHED = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    httpcore.ProxyError,
    httpx.ProxyError,
)
_FAULTS = (
    httpx.TransportError,
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    TimeoutError,
)
_LATE = (httpx.TimeoutException, httpcore.TimeoutException, TimeoutError)


def _ssl_context(link: Link) -> ssl.SSLContext | None:
    if not link.base_url.startswith("https:"):
        return None
    return _shared_ssl_context(link.ca_file, link.trust_env)


@lru_cache
def _shared_ssl_context(ca_file: Path | None, trust_env: bool) -> ssl.SSLContext:
    # It takes 6 ms to make one.
    context = httpx.create_ssl_context(trust_env=trust_env)
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


def _headers(link: Link) -> dict[str, str]:
    # Nothing encoded: a compressed stream can end early without an error, or expand without bound.
    headers = {"accept-encoding": "identity", "user-agent": "pytest-hydrasmoke"}
    if link.token is not None:
        headers["authorization"] = f"Bearer {link.token.reveal()}"
    return headers


def _build(
    client: httpx.Client | httpx.AsyncClient, link: Link, request: Request, timeout: httpx.Timeout
) -> httpx.Request:
    return client.build_request(
        request.method,
        link.base_url + request.path,
        json=request.body,
        headers={"accept": request.accept},
        timeout=timeout,
    )


def _core_proxy(proxy: httpx.Proxy) -> httpcore.Proxy:
    url = httpcore.URL(
        scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target="/"
    )
    return httpcore.Proxy(url, auth=proxy.raw_auth, headers=proxy.headers.raw)


def _fault(error: Exception, link: Link) -> TransportError:
    # What went wrong may be said by the error underneath alone.
    deepest: BaseException | None = error
    while deepest is not None and not str(deepest):
        deepest = deepest.__cause__ or deepest.__context__
    return lost_attempt(
        link.base_url,
        safe_line(str(deepest or type(error).__name__)),
        reached=not isinstance(error, _NOT_REACHED),
        late=isinstance(error, _LATE),
    )


class _PoolTransport(httpx.BaseTransport):
    """Hand httpx's requests to a pool of ours, since its own can't be given a backend."""

    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        reply = self._pool.handle_request(
            httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            reply.status,
            headers=reply.headers,
            stream=_PoolBody(reply),
            extensions=reply.extensions,  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        )

    def close(self) -> None:
        self._pool.close()


class _PoolBody(httpx.SyncByteStream):
    def __init__(self, reply: httpcore.Response) -> None:
        self._reply = reply

    def __iter__(self) -> Iterator[bytes]:
        yield from self._reply.iter_stream()

    def close(self) -> None:
        self._reply.close()


class SyncStream:
    """A stream read by blocking."""

    def __init__(self, io: SyncIO, response: httpx.Response) -> None:
        self._io = io
        self._response = response
        self._chunks = response.iter_raw()
        network: object = response.extensions.get("network_stream")
        # A test's own transport may have no such thing.
        self._network = network if isinstance(network, DeadlineStream) else None
        self.status = response.status_code
        self.headers: Mapping[str, str] = dict(response.headers)

    async def read(self, deadline: float) -> bytes:
        return given(self.attempt_read(deadline))

    async def close(self) -> None:
        self.close_now()

    def attempt_read(self, deadline: float) -> bytes | TransportError:
        if self._network is not None:
            self._network.deadline = self._io.monotonic(deadline)
        try:
            return next(self._chunks, b"")
        except _FAULTS as error:
            return _fault(error, self._io.link)
        except BaseException:
            self._io.forget()
            raise

    def close_now(self) -> None:
        with contextlib.suppress(*_FAULTS):
            self._response.close()
        if self._network is not None:
            # The connection may serve another request, which has a deadline of its own.
            self._network.deadline = math.inf


class SyncIO:
    """`IO` that blocks; one for each thread."""

    def __init__(
        self,
        link: Link,
        *,
        clock: VirtualClock | None = None,
        interrupts: Interrupts | None = None,
    ) -> None:
        self.link = link
        self._clock = clock
        self._interrupts = interrupts or Interrupts()
        self._backend = DeadlineBackend(self.hurry)
        self._client: httpx.Client | None = None

    def now(self) -> float:
        return self._clock.now() if self._clock else time.monotonic()

    def monotonic(self, deadline: float) -> float:
        """Translate a point of `now()` to one of `time.monotonic()`."""
        return deadline if self._clock is None else time.monotonic() + deadline - self.now()

    async def sleep(self, seconds: float) -> None:
        if self._clock is not None:
            self._clock.sleep(seconds)
            return
        until = time.monotonic() + seconds
        self.check()
        while (left := min(until, self.hurry() - LAST_CHANCE) - time.monotonic()) > 0:
            # In bits, as reads are: a signal may shorten it.
            time.sleep(min(left, SLICE))  # noqa: ASYNC251 - this IO is the blocking one
            self.check()

    def check(self) -> None:
        """Raise where this IO is to begin nothing more; there is no such thing here."""

    def hurry(self) -> float:
        return self._interrupts.deadline()

    async def send(self, request: Request, deadline: float) -> Reply:
        return given(self._attempt_send(request, deadline))

    async def open(self, request: Request, deadline: float) -> SyncStream:
        return given(self._attempt_open(request, deadline))

    async def grace(self, seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        # Nothing but a signal breaks off blocking code.
        with self._interrupts.hold():
            return await work()

    def forget(self) -> None:
        """Never use the present connections again.

        An interrupt inside httpcore's own bookkeeping can leave its pool unusable.
        """
        self._client = None

    def close(self) -> None:
        """Close idle connections; the next call opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

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
        client = self._client or self._connect()
        # To httpx this is a duration; `_sockets` knows it for the deadline that it is.
        timeout = httpx.Timeout(self.monotonic(deadline), pool=None)
        try:
            built = _build(client, self.link, request, timeout)
            return SyncStream(self, client.send(built, stream=True))
        except _FAULTS as error:
            return _fault(error, self.link)
        except BaseException:
            self.forget()
            raise

    def _connect(self) -> httpx.Client:
        proxy = self.link.proxy()
        pool = httpcore.ConnectionPool(
            ssl_context=_ssl_context(self.link),
            proxy=None if proxy is None else _core_proxy(httpx.Proxy(proxy)),
            max_connections=None,
            max_keepalive_connections=1,
            keepalive_expiry=KEEP_IDLE,
            network_backend=self._backend,
        )
        self._client = httpx.Client(
            transport=_PoolTransport(pool), headers=_headers(self.link), trust_env=False
        )
        return self._client


class AsyncStream:
    """A stream read under anyio."""

    def __init__(self, io: AsyncIO, response: httpx.Response) -> None:
        self._io = io
        self._response = response
        self._chunks: AsyncIterator[bytes] = response.aiter_raw()
        self.status = response.status_code
        self.headers: Mapping[str, str] = dict(response.headers)

    async def read(self, deadline: float) -> bytes:
        return given(await self._attempt_read(deadline))

    async def _attempt_read(self, deadline: float) -> bytes | TransportError:
        try:
            with anyio.fail_after(self._io.left(deadline)):
                return await anext(self._chunks, b"")
        except _FAULTS as error:
            return _fault(error, self._io.link)

    async def close(self) -> None:
        with anyio.CancelScope(shield=True), contextlib.suppress(*_FAULTS, httpx.StreamError):
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
        transport = httpx.AsyncHTTPTransport(
            # For plain http a context without any certificate: it costs nothing.
            verify=_ssl_context(link) or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            proxy=link.proxy(),
        )
        self._client = httpx.AsyncClient(
            transport=transport, headers=_headers(link), trust_env=False
        )
        self._gate: anyio.CapacityLimiter | None = None

    def now(self) -> float:
        return self._clock.now() if self._clock else time.monotonic()

    def left(self, deadline: float) -> float:
        return max(deadline - self.now(), 0.0)

    async def sleep(self, seconds: float) -> None:
        if self._clock is not None:
            self._clock.sleep(seconds)
            seconds = 0.0
        await anyio.sleep(max(seconds, 0.0))

    async def send(self, request: Request, deadline: float) -> Reply:
        if self._gate is None:
            self._gate = anyio.CapacityLimiter(IN_FLIGHT)
        async with self._gate:
            stream = await self.open(request, deadline)
            body = bytearray()
            try:
                while chunk := await stream.read(deadline):
                    append(body, chunk)
            finally:
                await stream.close()
        return Reply(stream.status, stream.headers, bytes(body))

    async def open(self, request: Request, deadline: float) -> AsyncStream:
        return given(await self._attempt_open(request, deadline))

    async def _attempt_open(
        self, request: Request, deadline: float
    ) -> AsyncStream | TransportError:
        left = self.left(deadline)
        timeout = httpx.Timeout(None, connect=left)
        built = _build(self._client, self.link, request, timeout)
        try:
            # A moment later than httpx's own timeout for connecting, which alone can tell that
            # the request was never sent.
            with anyio.fail_after(left + 0.05):
                response = await self._client.send(built, stream=True)
        except _FAULTS as error:
            return _fault(error, self.link)
        return AsyncStream(self, response)

    def hurry(self) -> float:
        return math.inf

    async def grace(self, seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return await shielded(seconds, work)

    async def aclose(self) -> None:
        """Let go of the client; nothing is open between calls."""
        await self._client.aclose()
