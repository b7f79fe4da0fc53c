"""Blocking sockets that keep one deadline for a whole request, which may come nearer meanwhile.

httpx bounds each single read and write, so that a server which sends a byte now and then holds a
caller for ever. Here the `timeout` that httpcore hands down for every operation *is the deadline*
(a point of `time.monotonic()`), and each operation gets what is left of it.
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

SLICE = 0.25
"""Seconds that a read waits in one piece."""


def _left(deadline: float, late: type[httpcore.TimeoutException]) -> float | None:
    if deadline == math.inf:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise late("the deadline has passed")
    return left


class DeadlineStream(httpcore.NetworkStream):
    """One connection; `deadline` tightens what the request itself allows."""

    def __init__(self, inner: httpcore.NetworkStream, backend: DeadlineBackend) -> None:
        self._inner = inner
        self._backend = backend
        self.deadline = math.inf

    def _until(self, timeout: float | None) -> float:
        return min(math.inf if timeout is None else timeout, self.deadline, self._backend.hurry())

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while True:
            # In bits: what hurries may come up while this waits.
            left = _left(self._until(timeout), httpcore.ReadTimeout)
            bit = self._backend.slice if left is None else min(left, self._backend.slice)
            try:
                return self._inner.read(max_bytes, bit)
            except httpcore.ReadTimeout:
                if left is not None and left <= self._backend.slice:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(self._until(timeout), httpcore.WriteTimeout))

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(self._until(timeout), httpcore.ConnectTimeout)
        return DeadlineStream(
            self._inner.start_tls(ssl_context, server_hostname, left), self._backend
        )

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class DeadlineBackend(httpcore.NetworkBackend):
    """Opens connections that keep deadlines.

    `hurry` gives a point of `time.monotonic()` at which every operation's deadline has come;
    it is asked for anew every `slice` seconds.
    """

    def __init__(self, hurry: Callable[[], float], slice: float = SLICE) -> None:  # noqa: A002
        self._inner = httpcore.SyncBackend()
        self.hurry = hurry
        self.slice = slice

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(math.inf if timeout is None else timeout, httpcore.ConnectTimeout)
        inner = self._inner.connect_tcp(host, port, left, local_address, socket_options)
        return DeadlineStream(inner, self)
