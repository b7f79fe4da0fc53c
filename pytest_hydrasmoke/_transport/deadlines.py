"""Blocking sockets with one deadline for a whole request, which may be shortened.

httpx bounds each single read and write, so that a server which sends a byte now and then holds a
caller forever. Here the `timeout` that httpcore passes to every operation *is the deadline* (a
`time.monotonic()`), and each operation gets what is left of it.
"""

from __future__ import annotations

import contextlib
import math
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

from .names import NameTimeoutError, addresses_of, is_address

SLICE = 0.25
"""Seconds of one slice of a read."""


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
        backend.streams.add(self)

    def _until(self, timeout: float | None) -> float:
        return min(
            math.inf if timeout is None else timeout,
            self.deadline,
            self._backend.cleanup_deadline(),
        )

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while True:
            # In slices: a signal may shorten the deadline meanwhile.
            left = _left(self._until(timeout), httpcore.ReadTimeout)
            bit = (
                self._backend.slice_seconds
                if left is None
                else min(left, self._backend.slice_seconds)
            )
            try:
                return self._inner.read(max_bytes, bit)
            except httpcore.ReadTimeout:
                if left is not None and left <= self._backend.slice_seconds:
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
    """Open connections that keep deadlines.

    `cleanup_deadline` returns the `time.monotonic()` at which every operation must end; it is
    called again every `slice_seconds`.
    """

    def __init__(self, cleanup_deadline: Callable[[], float], slice_seconds: float = SLICE) -> None:
        self._inner = httpcore.SyncBackend()
        self.cleanup_deadline = cleanup_deadline
        self.slice_seconds = slice_seconds
        self.streams = weakref.WeakSet[DeadlineStream]()

    def close(self) -> None:
        """Close every connection, also those in use."""
        for stream in list(self.streams):
            stream.close()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        deadline = math.inf if timeout is None else timeout
        left = _left(min(deadline, self.cleanup_deadline()), httpcore.ConnectTimeout)
        named = threading.Event()

        def connect() -> httpcore.NetworkStream:
            *others, last = [host] if is_address(host) else addresses_of(host, port)
            named.set()
            for address in others:
                with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                    return self._inner.connect_tcp(
                        address, port, left, local_address, socket_options
                    )
            return self._inner.connect_tcp(last, port, left, local_address, socket_options)

        attempt = Attempt(connect)
        try:
            while not attempt.ended.wait(self.slice_seconds):
                _left(min(deadline, self.cleanup_deadline()), httpcore.ConnectTimeout)
        except BaseException as error:
            attempt.abandon()
            if isinstance(error, httpcore.ConnectTimeout) and not named.is_set():
                raise NameTimeoutError(host) from None
            raise
        return DeadlineStream(attempt.result(), self)


class Attempt:
    """A connection being made, in its own thread.

    The system takes its own time to resolve a name, and tries each address as long as its timeout
    allows; neither can be stopped. So a caller waits in slices, and may abandon it: it then closes
    the connection that it still opens.
    """

    def __init__(self, connect: Callable[[], httpcore.NetworkStream]) -> None:
        self.ended = threading.Event()
        self._connect = connect
        self._lock = threading.Lock()
        self._stream: httpcore.NetworkStream | None = None
        self._error: Exception | None = None
        self._abandoned = False
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            stream = self._connect()
        except Exception as error:
            self._error = error
        else:
            with self._lock:
                self._stream = stream
                if self._abandoned:
                    stream.close()
        self.ended.set()

    def abandon(self) -> None:
        """Abandon it: its connection is closed once it is made."""
        with self._lock:
            self._abandoned = True
            if self._stream is not None:
                self._stream.close()

    def result(self) -> httpcore.NetworkStream:
        """Return the connection, or raise why there is none."""
        if self._stream is None:
            assert self._error is not None
            raise self._error
        return self._stream
