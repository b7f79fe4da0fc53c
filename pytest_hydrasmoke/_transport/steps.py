"""How far a request has come, as httpcore tells it: the same for both ways to the network.

It decides whether a request may have been carried out. The kind of an error does not: the same
one comes of a proxy that says nothing, and of a router that does.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpcore
import httpx

PROXY_ERRORS = (httpcore.ProxyError, httpx.ProxyError)


class Steps:
    """Follow one request; `proxy` is the URL of what it is sent through, if anything."""

    def __init__(self, proxy: str | None = None) -> None:
        self.proxy = proxy
        self.begun = False
        """Whether anything was told: what stands in for a network may tell nothing."""
        self.sent = False
        """Whether it may have left: it was about to be written."""
        self.connected: object = None
        """The connection, once there is one, before its TLS."""
        self.failure: object = None
        """What went wrong first: where a write fails, httpcore goes on to read all the same."""
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
        """Return the proxy that an error is of; None where the request was past it, or has none."""
        short_of_it = self.begun and not (self.sent or self._passed_proxy)
        return self.proxy if short_of_it or isinstance(error, PROXY_ERRORS) else None

    def never_sent(self, error: BaseException) -> bool:
        """Return whether it is certain that the request never left."""
        # A deadline of our own may come before the first step.
        return not self.sent and (self.begun or isinstance(error, TimeoutError))
