"""TLS over a stream that keeps deadlines, whatever is below it: a socket, or a proxy's own TLS.

Python's TLS sockets can't stop in the middle of a handshake or a write and go on later; here only
the socket below waits, in slices. An interrupt finds every connection still owned by its stream.
"""

from __future__ import annotations

import contextlib
import ssl
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import httpcore

T = TypeVar("T")

_RECORD = 1 << 14
_FAULTS = (httpcore.TimeoutException, httpcore.NetworkError)


class Bounded(httpcore.NetworkStream):
    """A stream whose operations end at a deadline."""

    @abstractmethod
    def limit(self, deadline: float) -> None:
        """Tighten what a request itself allows; inf for no limit."""

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return TlsStream(self, ssl_context, server_hostname, timeout)


class TlsStream(Bounded):
    """A stream after its handshake."""

    def __init__(
        self, below: Bounded, context: ssl.SSLContext, host: str | None, timeout: float | None
    ) -> None:
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        try:
            self._exchange(self._tls.do_handshake, timeout)
        except (*_FAULTS, ssl.SSLError) as error:
            self.close()
            late = isinstance(error, httpcore.TimeoutException)
            kind = httpcore.ConnectTimeout if late else httpcore.ConnectError
            raise kind(str(error)) from error

    def limit(self, deadline: float) -> None:
        self._below.limit(deadline)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return self._exchange(lambda: self._tls.read(max_bytes), timeout)
        except ssl.SSLEOFError:
            return b""  # As Python's own sockets do: few servers end their TLS before they close.

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = memoryview(buffer)
        while left:
            left = left[self._tls.write(left) :]
        # All at once: what fails here before its first byte has sent nothing of the buffer.
        self._flush(timeout)

    def close(self) -> None:
        self._below.close()

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._tls
        if info == "is_readable" and self._incoming.pending:
            return True
        return self._below.get_extra_info(info)

    def _exchange(self, operation: Callable[[], T], timeout: float | None) -> T:
        """Repeat an operation until it needs no more of what the peer sends."""
        while True:
            try:
                result = operation()
            except ssl.SSLWantReadError:
                self._flush(timeout)
            except ssl.SSLError:
                with contextlib.suppress(*_FAULTS):
                    self._flush(timeout)  # It tells the peer why.
                raise
            else:
                self._flush(timeout)
                return result
            received = self._below.read(_RECORD, timeout)
            if received:
                self._incoming.write(received)
            else:
                self._incoming.write_eof()

    def _flush(self, timeout: float | None) -> None:
        if self._outgoing.pending:
            self._below.write(self._outgoing.read(), timeout)
