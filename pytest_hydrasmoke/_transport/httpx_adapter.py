"""What both ways to reach the network say to httpx, and what its errors mean."""

from __future__ import annotations

import ssl
from functools import lru_cache

import httpcore
import httpx

from pytest_hydrasmoke._base.errors import TransportError, hide_own_frames
from pytest_hydrasmoke._base.token import bare

from .attempts import lost_at_proxy, lost_attempt
from .protocol import Request
from .reasons import reason_of
from .steps import PROXY_ERRORS, Steps
from .target import Link

__tracebackhide__ = hide_own_frames

_NOT_REACHED = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    *PROXY_ERRORS,
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


def lost(raised: BaseException, link: Link, steps: Steps | None = None) -> TransportError:
    """Return what an attempt failed of; raises what is no failure of the network, without frames.

    Not to be called inside `except`: the frames in which it was raised, where the header was, would
    be the context of all that is raised here.
    """
    bare(raised)
    if not isinstance(raised, FAULTS):
        raise raised
    return fault(raised, link, steps)


def fault(error: Exception, link: Link, steps: Steps | None = None) -> TransportError:
    """Return the error of a failed attempt; without steps it had been sent."""
    late, reason = isinstance(error, _LATE), reason_of(error, steps and steps.failure)
    proxy = None if steps is None else steps.failed_proxy(error)
    if proxy is not None:
        refused = isinstance(error, PROXY_ERRORS)
        return lost_at_proxy(proxy, reason, refused=refused, late=late)
    unsent = (steps is not None and steps.never_sent(error)) or isinstance(error, _NOT_REACHED)
    return lost_attempt(link.base_url, reason, reached=not unsent, late=late)
