"""How far a request has come, by httpcore's trace: the same for blocking and async I/O.

It decides whether a request may have been carried out. The class of an error does not: a silent
proxy and a silent router raise the same one.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpcore
import httpx

PROXY_ERRORS = (httpcore.ProxyError, httpx.ProxyError)
NOT_REACHED = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    *PROXY_ERRORS,
)
"""Errors before which no request is sent: used where no step was traced."""


class Steps:
    """Follow one request; `proxy` is the URL of its proxy, if any."""

    def __init__(self, proxy: str | None = None) -> None:
        self.proxy = proxy
        self.begun = False
        """Whether any step was traced: a custom transport may trace none."""
        self.sent = False
        """Whether it may have left: its write has begun."""
        self.connected: object = None
        """The connection, once there is one, before TLS."""
        self.failure: object = None
        """The first error: after a failed write, httpcore still tries to read."""
        self._passed_proxy = False

    def on_step(self, step: str, info: Mapping[str, object]) -> None:
        self.begun = True
        if step.endswith("send_request_headers.started"):
            self.sent = getattr(info["request"], "method", None) != b"CONNECT"
        elif step.endswith("receive_response_headers.complete"):
            self._passed_proxy = True
        elif step.endswith("connect_tcp.complete"):
            self.connected = info["return_value"]
        elif step.endswith(".failed") and self.failure is None:
            self.failure = info["exception"]

    async def on_step_async(self, step: str, info: Mapping[str, object]) -> None:
        self.on_step(step, info)

    def failed_proxy(self, error: BaseException) -> str | None:
        """Return the proxy that caused an error; None if the request was past it, or has none."""
        before_it = self.begun and not (self.sent or self._passed_proxy)
        return self.proxy if before_it or isinstance(error, PROXY_ERRORS) else None

    def never_sent(self, error: BaseException) -> bool:
        """Return whether the request certainly never left."""
        # A deadline of our own may come before the first step.
        return not self.sent and (self.begun or isinstance(error, (TimeoutError, *NOT_REACHED)))
