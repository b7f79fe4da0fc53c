"""Blocking sockets with one deadline for a whole request, which may be shortened.

httpx bounds each single read and write, so that a server which sends a byte now and then holds a
caller forever. Here the `timeout` that httpcore passes to every operation *is the deadline* (a
`clock.now()`), and each operation gets what is left of it.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import httpcore

from pytest_hydrasmoke._base import clock

from .names import Begun, NameTimeoutError, connected, in_order, is_address
from .protocol import drive
from .tls import Bounded

T = TypeVar("T")

SLICE = 0.25
"""Seconds of one slice of what waits."""


class Unwritten(Exception):  # noqa: N818 - it says more of another error
    """Raised where the system took not one byte of a buffer."""


class UnwrittenTimeout(Unwritten, httpcore.WriteTimeout):
    """Raised at the deadline."""


class UnwrittenError(Unwritten, httpcore.WriteError):
    """Raised where the connection is lost."""


def _left(deadline: float, late: type[httpcore.TimeoutException]) -> float:
    left = deadline - clock.now()
    if left <= 0:
        raise late("the deadline has passed")
    return left


class DeadlineStream(Bounded):
    """One connection."""

    def __init__(self, inner: httpcore.NetworkStream, backend: DeadlineBackend) -> None:
        self._inner = inner
        self._socket: socket.socket = inner.get_extra_info("socket")
        self._backend = backend
        self._deadline = math.inf
        backend.opened.add(self)

    def limit(self, deadline: float) -> None:
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        def receive(seconds: float) -> bytes:
            return self._inner.read(max_bytes, seconds)

        return self._in_slices(receive, timeout, httpcore.ReadTimeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = memoryview(buffer)

        def send(seconds: float) -> int:
            self._socket.settimeout(seconds)
            try:
                return self._socket.send(left)
            except TimeoutError as error:
                raise httpcore.WriteTimeout(str(error)) from error

        try:
            # Not `inner.write`, which does not tell after a slice how much it has written.
            while left:
                left = left[self._in_slices(send, timeout, httpcore.WriteTimeout) :]
        except (httpcore.WriteTimeout, OSError) as error:
            late = isinstance(error, httpcore.WriteTimeout)
            if len(left) == len(buffer):
                raise (UnwrittenTimeout if late else UnwrittenError)(str(error)) from error
            raise (httpcore.WriteTimeout if late else httpcore.WriteError)(str(error)) from error

    def close(self) -> None:
        self._inner.close()
        self._backend.opened.discard(self)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def _in_slices(
        self,
        operation: Callable[[float], T],
        timeout: float | None,
        late: type[httpcore.TimeoutException],
    ) -> T:
        """Repeat an operation until it is done, or its deadline has come."""
        until = math.inf if timeout is None else timeout
        while True:
            # In slices: a signal may shorten the deadline meanwhile.
            left = _left(min(until, self._deadline, self._backend.cleanup_deadline()), late)
            try:
                return operation(min(left, self._backend.slice_seconds))
            except late:
                if left <= self._backend.slice_seconds:
                    raise


class DeadlineBackend(httpcore.NetworkBackend):
    """Open connections that keep deadlines.

    `cleanup_deadline` returns the `clock.now()` at which every operation must end; it is
    called again every `slice_seconds`.
    """

    def __init__(self, cleanup_deadline: Callable[[], float], slice_seconds: float = SLICE) -> None:
        self._inner = httpcore.SyncBackend()
        self.cleanup_deadline = cleanup_deadline
        self.slice_seconds = slice_seconds
        self.opened: set[DeadlineStream | Connecting] = set()
        """What is open, or is being opened: an interrupt may lose every other reference to it."""

    def close(self) -> None:
        """Close every connection, also those in use."""
        for one in list(self.opened):
            one.close()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        deadline = math.inf if timeout is None else timeout
        named = False

        def until() -> float:
            return min(deadline, self.cleanup_deadline())

        def left(at: float) -> float:
            return _left(min(at, self.cleanup_deadline()), httpcore.ConnectTimeout)

        async def connect(address: str, at: float) -> DeadlineStream:
            seconds = left(at)
            limit = None if seconds == math.inf else seconds
            inner = self._inner.connect_tcp(address, port, limit, local_address, socket_options)
            return DeadlineStream(inner, self)

        def connect_any() -> DeadlineStream:
            nonlocal named
            addresses = [host] if is_address(host) else in_order(host, port)
            named = True
            return drive(connected(host, port, addresses, until, connect))

        left(deadline)  # No connection is begun after the deadline.
        attempt = Connecting(connect_any, self.opened)
        try:
            while not clock.wait(attempt.ended.wait, self.slice_seconds):
                left(deadline)
        except BaseException as error:
            attempt.close()
            if isinstance(error, httpcore.ConnectTimeout) and not named:
                raise NameTimeoutError(host) from None
            raise
        return attempt.result()


class Connecting(Begun[DeadlineStream]):
    """A connection being made.

    The system takes its own time to resolve a name, and tries each address as long as its timeout
    allows. So a caller waits in slices, and may close it: it then closes the connection that it
    still opens. It is in `opened` until its connection is.
    """

    def __init__(
        self, connect: Callable[[], DeadlineStream], opened: set[DeadlineStream | Connecting]
    ) -> None:
        super().__init__(connect)
        self._opened = opened
        self._closed = False
        opened.add(self)
        self.begin()

    def _run(self) -> None:
        super()._run()
        # After the stream is known, as `close` looks for it after this is known: without a lock,
        # which an interrupted caller would hold for ever.
        if self._closed and self._made is not None:
            self._made.close()

    def close(self) -> None:
        """Abandon it: its connection is closed once it is made."""
        self._closed = True
        if self._made is not None:
            self._made.close()
        self._opened.discard(self)

    def result(self) -> DeadlineStream:
        self._opened.discard(self)
        return super().result()
