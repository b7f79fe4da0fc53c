"""Resolve host names in daemon threads: the system's lookup can't be interrupted.

An asyncio loop waits at its end for its own threads, however long a name server is silent.
"""

from __future__ import annotations

import contextlib
import ipaddress
import math
import socket
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import httpcore

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.threads import Once, begin

from .alarms import Until, event

T = TypeVar("T")

FIRST_ADDRESSES = 2.0
"""Seconds at most to connect to each address of a name but the last."""

_worked: dict[tuple[str, int], str] = {}
"""The address at which each host and port was last reached, by any IO of this process."""


class NameTimeoutError(httpcore.ConnectTimeout):
    """Raised where a host name was still unresolved at the deadline."""

    def __init__(self, host: str) -> None:
        super().__init__(f"the name {host} could not be resolved in the time left")


def in_order(host: str, port: int) -> list[str]:
    """Resolve a name, however long it takes; the address that worked last comes first.

    Raises `httpcore.ConnectError`.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error
    addresses = dict.fromkeys(str(address[0]) for *_, address in found)
    return sorted(addresses, key=lambda address: address != _worked.get((host, port)))


def worked(host: str, port: int, address: str, stream: T) -> T:
    """Return the connection to an address, which is the first to be tried from now on."""
    _worked[host, port] = address
    return stream


def share(seconds: float, addresses: int) -> float:
    """Return the time for the first of some addresses, which leaves the others theirs.

    It may be of a network that does not work.
    """
    return min(FIRST_ADDRESSES, seconds / addresses)


def begin_connecting(work: Callable[[], None]) -> None:
    """Begin work in a thread of its own; raises `httpcore.ConnectError` if there can't be one."""
    if not begin(work):
        raise httpcore.ConnectError("can't start another thread")


def is_address(host: str) -> bool:
    """Return whether a host is an address, which needs no lookup."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class _Lookup:
    """A lookup of a name, in its own thread."""

    def __init__(self, host: str, port: int) -> None:
        self.ended = Once()
        self._place = host, port
        self._found: list[str] = []
        self._error: httpcore.ConnectError | None = None
        self._waiting: list[Callable[[], None]] = []
        begin_connecting(self._run)

    def _run(self) -> None:
        try:
            self._found = in_order(*self._place)
        except httpcore.ConnectError as error:
            self._error = error
        self.ended.set()
        for wake in self._waiting:
            wake()

    async def end(self) -> None:
        woken, wake = event()
        self._waiting.append(wake)
        # It looks for those that wait once it has ended.
        if not self.ended.is_set():
            await woken.wait()

    def result(self) -> list[str]:
        if self._error is not None:
            raise self._error
        return self._found


class NamingBackend(httpcore.AsyncNetworkBackend):
    """Open connections under anyio, to names that our own threads resolve."""

    def __init__(self) -> None:
        # httpcore has two classes of this name: one for when anyio is missing.
        self._inner: httpcore.AsyncNetworkBackend = httpcore.AnyIOBackend()  # pyright: ignore[reportAttributeAccessIssue]
        self._lookups: dict[str, _Lookup] = {}

    def late_name(self) -> NameTimeoutError | None:
        """Return the error of a name lookup still under way; None without one."""
        late = [host for host, lookup in self._lookups.items() if not lookup.ended.is_set()]
        return NameTimeoutError(late[0]) if late else None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        # Our own clock ends it: `timeout` is a deadline, as in `deadlines`.
        options = None, local_address, socket_options
        if is_address(host):
            return await self._inner.connect_tcp(host, port, *options)
        # One thread for all callers, retries included, while the name server is silent.
        lookup = self._lookups.get(host) or _Lookup(host, port)
        self._lookups[host] = lookup
        await lookup.end()
        self._lookups.pop(host, None)
        *others, last = addresses = lookup.result()
        until = math.inf if timeout is None else timeout
        for place, address in enumerate(others):
            soon = clock.now() + share(until - clock.now(), len(addresses) - place)
            with contextlib.suppress(httpcore.ConnectError), Until(soon):
                stream = await self._inner.connect_tcp(address, port, *options)
                return worked(host, port, address, stream)
        stream = await self._inner.connect_tcp(last, port, *options)
        return worked(host, port, last, stream)
