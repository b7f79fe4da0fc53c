"""Resolve host names in daemon threads: the system's lookup can't be interrupted.

An asyncio loop waits at its end for its own threads, however long a name server is silent.
"""

from __future__ import annotations

import contextlib
import ipaddress
import math
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

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


async def connected(
    host: str,
    port: int,
    addresses: Sequence[str],
    until: Callable[[], float],
    connect: Callable[[str, float], Awaitable[T]],
) -> T:
    """Return a connection to the first address that works; it comes first from now on.

    Each but the last has its share of the time: it may be of a network that does not work.
    """
    *others, address = addresses
    for place, other in enumerate(others):
        now = clock.now()
        share = min(FIRST_ADDRESSES, (until() - now) / (len(addresses) - place))
        with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
            stream = await connect(other, now + share)
            address = other
            break
    else:
        stream = await connect(address, until())
    _worked[host, port] = address
    return stream


def is_address(host: str) -> bool:
    """Return whether a host is an address, which needs no lookup."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Begun(Generic[T]):
    """What a thread of its own makes, such as a connection; it can't be stopped, but given up."""

    def __init__(self, make: Callable[[], T]) -> None:
        self.ended = Once()
        self._make = make
        self._made: T | None = None
        self._error: Exception | None = None

    def begin(self) -> None:
        """Start its thread; where the system has no more of them, the caller makes it."""
        if not begin(self._run):
            self._run()

    def _run(self) -> None:
        try:
            self._made = self._make()
        except Exception as error:
            self._error = error
        self.ended.set()

    def result(self) -> T:
        """Return it, or raise why there is none."""
        if self._made is None:
            assert self._error is not None
            raise self._error
        return self._made


class _Lookup(Begun[list[str]]):
    """A lookup of a name, which tasks wait for."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(partial(in_order, host, port))
        self._waiting: list[Callable[[], None]] = []
        self.begin()

    def _run(self) -> None:
        super()._run()
        for wake in self._waiting:
            wake()

    async def end(self) -> None:
        woken, wake = event()
        self._waiting.append(wake)
        # It looks for those that wait once it has ended.
        if not self.ended.is_set():
            await woken.wait()


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
        until = math.inf if timeout is None else timeout

        async def connect(address: str, until: float) -> httpcore.AsyncNetworkStream:
            with Until(until):
                return await self._inner.connect_tcp(
                    address, port, None, local_address, socket_options
                )
            raise httpcore.ConnectTimeout("the deadline has passed")

        if is_address(host):
            return await connect(host, until)
        # One thread for all callers, retries included, while the name server is silent.
        lookup = self._lookups.get(host) or _Lookup(host, port)
        self._lookups[host] = lookup
        await lookup.end()
        self._lookups.pop(host, None)
        return await connected(host, port, lookup.result(), lambda: until, connect)
