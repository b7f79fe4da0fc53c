"""How far a request has come, by httpcore's trace: the same for blocking and async I/O.

It decides whether a request may have been carried out. The class of an error does not: a silent
proxy and a silent router raise the same one.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import httpcore
import httpx

from .deadlines import Unwritten

PROXY_ERRORS = (httpcore.ProxyError, httpx.ProxyError)
_NOT_REACHED = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    *PROXY_ERRORS,
)
"""Errors before which no request is sent: used where no step was traced."""


class Reached(enum.IntEnum):
    """How far a request came."""

    CONNECTING = enum.auto()
    SHAKING_HANDS = enum.auto()
    UNSENT = enum.auto()
    """Connected, and not one byte of it has left."""
    BEGUN = enum.auto()
    """Some of it may have left: the router may have read, and even carried out, that much."""
    SENT = enum.auto()

    @property
    def reached(self) -> bool:
        """Whether the request may have been carried out."""
        return self >= Reached.BEGUN


class Steps:
    """Follow one request; `proxy` is the URL of its proxy, if any."""

    def __init__(self, proxy: str | None = None) -> None:
        self.proxy = proxy
        self.begun = False
        """Whether any step was traced: a custom transport may trace none."""
        self.connected: object = None
        """The connection, once there is one, before TLS."""
        self.failure: object = None
        """The first error: after a failed write, httpcore still tries to read."""
        self._passed_proxy = False
        self._progress = Reached.CONNECTING

    @property
    def sent(self) -> bool:
        """Whether it may have left: its write has begun."""
        return self._progress.reached

    def on_step(self, step: str, info: Mapping[str, object]) -> None:
        self.begun = True
        if step.endswith("connect_tcp.complete"):
            self.connected = info["return_value"]
            self._progress = Reached.UNSENT
        elif step.endswith("start_tls.started"):
            self._progress = Reached.SHAKING_HANDS
        elif step.endswith("start_tls.complete"):
            self._progress = Reached.UNSENT
        elif step.endswith("send_request_headers.started"):
            is_tunnel = getattr(info["request"], "method", None) == b"CONNECT"
            self._progress = Reached.UNSENT if is_tunnel else Reached.BEGUN
        elif step.endswith("send_request_headers.failed"):
            if isinstance(info["exception"], Unwritten):
                self._progress = Reached.UNSENT
        elif step.endswith("send_request_body.complete") and self.sent:
            self._progress = Reached.SENT
        elif step.endswith("receive_response_headers.complete"):
            self._passed_proxy = True
        if step.endswith(".failed") and self.failure is None:
            self.failure = info["exception"]

    async def on_step_async(self, step: str, info: Mapping[str, object]) -> None:
        self.on_step(step, info)

    def failed_proxy(self, error: BaseException) -> str | None:
        """Return the proxy that caused an error; None if the request was past it, or has none."""
        before_it = self.begun and not (self.sent or self._passed_proxy)
        return self.proxy if before_it or isinstance(error, PROXY_ERRORS) else None

    def progress(self, error: BaseException) -> Reached:
        """Return how far the request came before an error."""
        if self.begun:
            return self._progress
        # A deadline of our own may come before the first step.
        never = isinstance(error, (TimeoutError, *_NOT_REACHED))
        return Reached.CONNECTING if never else Reached.SENT
