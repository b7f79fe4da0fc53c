"""What both kinds of I/O share: requests and answers in httpcore's form, and works side by side.

An attempt's error is raised outside of the `except` that caught it: inside, it would carry httpx's
frames, and with them the request's headers, into every traceback. So `failures.lost` also raises an
interrupt, or a bug, without those frames.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any, Self, cast

import httpcore
import httpx

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.errors import ContractError

from .links import Link
from .protocol import IN_FLIGHT, IO, Answer, Request, Share, Stream, Work, do

ANSWER_LIMIT = 1 << 20
"""Most bytes of an answer that is no stream; one of the six calls has a few hundred."""


class HttpStream(Stream):
    """A stream of either kind."""

    def __init__(self, io: HttpIO, response: httpcore.Response) -> None:
        self._io = io
        self._response = response
        self.status = response.status
        self.headers = dict(httpx.Headers(response.headers))
        extensions = cast("dict[str, Any]", response.extensions)  # pyright: ignore[reportUnknownMemberType]
        self._network = extensions.get("network_stream")
        """The connection; None where a test's own pool has none."""

    @property
    def peer(self) -> object:
        """The connection's local address and port; None if there is none."""
        return self._network and self._network.get_extra_info("client_addr")[:2]

    @abstractmethod
    def expire(self) -> None:
        """End the deadline of the current read at once; from any thread."""


class HttpIO(IO):
    """`IO` of either kind."""

    def __init__(self, link: Link) -> None:
        self.link = link

    def now(self) -> float:
        return clock.now()

    def monotonic(self, deadline: float) -> float:
        """Convert a `now()` to a `clock.now()`."""
        return deadline

    async def send(self, request: Request, deadline: float) -> Answer:
        await self._enter(deadline)
        try:
            return await whole(await self.open_now(request, deadline), deadline)
        finally:
            self._leave()

    async def open(self, request: Request, deadline: float) -> Stream:
        return await self.open_now(request, deadline)

    async def gather(
        self, works: Sequence[Work], *, at_once: int | None = None, together: bool = False
    ) -> Mapping[int, Exception]:
        failures: dict[int, Exception] = {}
        numbered, count = [*enumerate(works)], min(at_once or len(works), len(works))
        if len(works) == 1:
            await do(self, numbered, failures)  # Where the caller is: its log records, too.
        else:
            shares = [numbered[first::count] for first in range(count)]
            await self._side_by_side(shares, failures, at_once or IN_FLIGHT, together)
        return failures

    @abstractmethod
    async def open_now(self, request: Request, deadline: float) -> HttpStream:
        """Open a stream where the caller is."""

    @abstractmethod
    async def _enter(self, deadline: float) -> None:
        """Wait for a place among the requests under way; raises `TransportError`."""

    @abstractmethod
    def _leave(self) -> None:
        """Give the place to another request."""

    @abstractmethod
    async def _side_by_side(
        self, shares: Sequence[Share], failures: dict[int, Exception], most: int, together: bool
    ) -> None:
        """Do each share of a gathering, with at most so many requests under way."""


async def whole(stream: Stream, deadline: float) -> Answer:
    """Read an answer to its end, and close its stream."""
    body = bytearray()
    try:
        while chunk := await stream.read(deadline):
            append(body, chunk)
    finally:
        await stream.close()
    return Answer(stream.status, stream.headers, bytes(body))


def append(body: bytearray, chunk: bytes) -> None:
    """Add to an answer's body; raises `ContractError` beyond `ANSWER_LIMIT`."""
    body += chunk
    if len(body) > ANSWER_LIMIT:
        raise ContractError(
            "the response body exceeds the limit",
            expected=f"at most {ANSWER_LIMIT:,} bytes",
            got="more",
            next_step="find out what answers at this URL",
        )


def build(link: Link, request: Request, **extensions: object) -> httpcore.Request:
    """Build a request for a pool with a custom backend.

    httpx's clients add what is unwanted here: cookies, redirects and credentials of other origins.
    Without them, a call takes a tenth of a millisecond less.
    """
    link = request.link or link
    # Nothing encoded: a compressed stream can end early without an error, or expand without bound.
    headers = {
        "accept": request.accept,
        "accept-encoding": "identity",
        "user-agent": _agent(),
        **({} if link.trace is None else link.trace.headers()),
    }
    if link.run_id is not None:
        headers["x-smoke-run-id"] = link.run_id
    body = request.body
    if body is not None and link.left_out is not None:
        body = {name: value for name, value in body.items() if name != link.left_out}
    built = httpx.Request(
        request.method, _url(link.base_url + request.path), headers=headers, json=body
    )
    url = built.url
    place = httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )
    # After everything that can fail: no frame of a traceback then holds the header.
    if request.anonymous:
        pass
    elif link.authorization is not None:
        built.headers["authorization"] = link.authorization.reveal()
    elif link.token is not None:
        built.headers["authorization"] = f"Bearer {link.token.reveal()}"
    return httpcore.Request(
        built.method,
        place,
        headers=built.headers.raw,
        content=_Content(built.content),
        extensions=extensions,
    )


@cache
def _agent() -> str:
    return f"pytest-hydrasmoke/{version('pytest-hydrasmoke')}"


class _Content:
    """A request's body; unlike httpx's, no async generator: trio warns of one that is not ended."""

    def __init__(self, data: bytes) -> None:
        self._parts = iter([data])

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data = next(self._parts, None)
        if data is None:
            raise StopAsyncIteration
        return data


def core_proxy(url: str | None) -> httpcore.Proxy | None:
    """Return a proxy in httpcore's form."""
    if url is None:
        return None
    proxy = httpx.Proxy(url)
    place = httpcore.URL(
        scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target="/"
    )
    return httpcore.Proxy(place, auth=proxy.raw_auth, headers=proxy.headers.raw)


# Few: a count's window is part of its URL, and is another one every second.
_url = lru_cache(maxsize=32)(httpx.URL)
