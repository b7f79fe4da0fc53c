"""What both ways to reach the network say to httpx, and what its errors mean."""

from __future__ import annotations

import ssl
from functools import lru_cache

import httpcore
import httpx

from pytest_hydrasmoke._base.errors import TransportError, hide_own_frames
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._base.token import bare

from .attempts import lost_attempt
from .protocol import Request
from .target import Link

__tracebackhide__ = hide_own_frames

_NOT_REACHED = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    httpcore.ProxyError,
    httpx.ProxyError,
)
FAULTS = (
    httpx.TransportError,
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    # Under anyio one that comes after the handshake is nobody's: a client certificate that is
    # missing, under TLS 1.3, or a record that is damaged.
    ssl.SSLError,
    TimeoutError,
)
_LATE = (httpx.TimeoutException, httpcore.TimeoutException, TimeoutError)


def build(link: Link, request: Request, **extensions: object) -> httpx.Request:
    """Make a request for a transport.

    httpx's clients on top of those are for what is not wanted here: cookies, redirects and
    credentials of other origins. Without them, a call takes a tenth of a millisecond less.
    """
    # Nothing encoded: a compressed stream can end early without an error, or expand without bound.
    headers = {
        "accept": request.accept,
        "accept-encoding": "identity",
        "user-agent": "pytest-hydrasmoke",
    }
    built = httpx.Request(
        request.method,
        _url(link.base_url + request.path),
        headers=headers,
        json=request.body,
        extensions=extensions,
    )
    # After all that can fail: a traceback's frames have no header to show.
    if link.token is not None:
        built.headers["authorization"] = f"Bearer {link.token.reveal()}"
    return built


@lru_cache
def _url(text: str) -> httpx.URL:
    return httpx.URL(text)


def lost(raised: BaseException, link: Link, *, connecting: bool = False) -> TransportError:
    """Return what an attempt failed of; raises what is no failure of the network, without frames.

    Not to be called inside `except`: the frames in which it was raised, where the header was, would
    be the context of all that is raised here.
    """
    bare(raised)
    if not isinstance(raised, FAULTS):
        raise raised
    return fault(raised, link, connecting=connecting)


def fault(error: Exception, link: Link, *, connecting: bool = False) -> TransportError:
    # What went wrong may be said by the error underneath alone.
    deepest: BaseException | None = error
    while deepest is not None and not str(deepest):
        deepest = deepest.__cause__ or deepest.__context__
    return lost_attempt(
        link.base_url,
        safe_line(str(deepest or type(error).__name__)),
        reached=not (connecting or isinstance(error, _NOT_REACHED)),
        late=isinstance(error, _LATE),
    )
