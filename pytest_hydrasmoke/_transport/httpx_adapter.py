"""What both kinds of I/O pass to httpcore, and what its errors mean."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, Iterable, Mapping
from functools import cache, lru_cache
from importlib.metadata import version
from typing import cast

import httpcore
import httpx

from pytest_hydrasmoke._base.errors import TransportError, hide_own_frames
from pytest_hydrasmoke._base.token import bare

from .attempts import lost_at_proxy, lost_attempt
from .protocol import Request
from .reasons import reason_of
from .steps import PROXY_ERRORS, Reached, Steps
from .target import Link

__tracebackhide__ = hide_own_frames

FAULTS = (
    httpx.TransportError,
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    # Under anyio, a TLS error after the handshake has no httpcore class: under TLS 1.3 a missing
    # client certificate, or a damaged record.
    ssl.SSLError,
    TimeoutError,
)
_LATE = (httpx.TimeoutException, httpcore.TimeoutException, TimeoutError)


def build(link: Link, request: Request, **extensions: object) -> httpx.Request:
    """Build a request for a transport.

    httpx's clients add what is unwanted here: cookies, redirects and credentials of other origins.
    Without them, a call takes a tenth of a millisecond less.
    """
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
        request.method,
        _url(link.base_url + request.path),
        headers=headers,
        json=body,
        extensions=extensions,
    )
    # After everything that can fail: no frame of a traceback then holds the header.
    if link.authorization is not None:
        built.headers["authorization"] = link.authorization.reveal()
    elif link.token is not None:
        built.headers["authorization"] = f"Bearer {link.token.reveal()}"
    return built


@cache
def _agent() -> str:
    return f"pytest-hydrasmoke/{version('pytest-hydrasmoke')}"


def core_request(
    request: httpx.Request, content: Iterable[bytes] | AsyncIterable[bytes]
) -> httpcore.Request:
    """Return a request in httpcore's form, for a pool with a custom backend."""
    url = request.url
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=content,
        extensions=request.extensions,
    )


def headers_of(response: httpcore.Response) -> Mapping[str, str]:
    """Return an answer's headers, each name once, in lower case."""
    return dict(httpx.Headers(response.headers))


def network_of(response: httpcore.Response) -> object:
    """Return the connection of an answer; None where a test's own pool has none."""
    extensions = cast("dict[str, object]", response.extensions)  # pyright: ignore[reportUnknownMemberType]
    return extensions.get("network_stream")


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
@lru_cache(maxsize=32)
def _url(text: str) -> httpx.URL:
    return httpx.URL(text)


def lost(raised: BaseException, link: Link, steps: Steps | None = None) -> TransportError:
    """Return the error of an attempt; re-raise what is no network failure, without its frames.

    Call it outside `except`: the frames that raised it, which hold the header, would become
    the context of everything raised here.
    """
    bare(raised)
    if not isinstance(raised, FAULTS):
        raise raised
    return fault(raised, link, steps)


def fault(error: Exception, link: Link, steps: Steps | None = None) -> TransportError:
    """Return the error of a failed attempt; without `steps` the request had been sent."""
    late, reason = isinstance(error, _LATE), reason_of(error, steps and steps.failure)
    if steps is None:
        return lost_attempt(link.base_url, reason, Reached.SENT, late=late)
    proxy = steps.failed_proxy(error)
    if proxy is not None:
        refused = isinstance(error, PROXY_ERRORS)
        return lost_at_proxy(proxy, link.base_url, reason, refused=refused, late=late)
    return lost_attempt(link.base_url, reason, steps.progress(error), late=late)
