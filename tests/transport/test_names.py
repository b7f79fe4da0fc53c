"""Names that take their time, or stand for several addresses."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from faulty_server import FaultyServer, answer, stall_before_head
from net_tools import SOME_ID, close, io_of

from pytest_hydrasmoke import TransportError
from pytest_hydrasmoke._transport import beginning, names
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.beginning import begin
from pytest_hydrasmoke._transport.names import NamingBackend, is_address
from pytest_hydrasmoke._transport.protocol import Request

pytestmark = pytest.mark.anyio

ONE = Request("status", "GET", f"/internal/v1/smoke/instances/{SOME_ID}")
STATUS = answer({"id": SOME_ID, "status": "running"})


class NameServer:
    """Knows `router.example`, once it is let speak; asked by threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.speaks = threading.Event()
        self.asked = 0
        self.answered = 0
        ask = socket.getaddrinfo

        def resolve(host: str, port: Any, *more: Any, **others: Any) -> Any:
            if host != "router.example":
                return ask(host, port, *more, **others)
            self.asked += 1
            assert self.speaks.wait(60)
            self.answered += 1
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                for address in addresses
            ]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer(monkeypatch, "127.0.0.1")
    yield server
    server.speaks.set()


async def test_a_name_that_takes_its_time_is_told_by_its_name(
    kind: str, silent: NameServer
) -> None:
    with FaultyServer(STATUS) as server:
        io = io_of(kind, f"http://router.example:{server.port}")
        with pytest.raises(TransportError) as caught:
            await io.send(ONE, io.now() + 0.1)
        error = caught.value
        assert error.message == (
            f"no connection to http://router.example:{server.port} in time: the name "
            "router.example could not be resolved in the time left"
        )
        assert (error.late, error.reached) == (True, False)
        assert "name servers" in str(error.next_step)
        silent.speaks.set()
        assert (await io.send(ONE, io.now() + 20)).status == 200
        assert (await io.send(ONE, io.now() + 20)).status == 200
        await close(io)


async def test_whoever_asks_again_asks_nobody_twice(kind: str, silent: NameServer) -> None:
    if kind == "sync":
        return
    io = io_of(kind, "http://router.example:9")
    for _ in range(3):
        with pytest.raises(TransportError):
            await io.send(ONE, io.now() + 0.05)
    assert silent.asked == 1
    await close(io)


async def test_a_name_that_another_waits_for_is_no_reason(
    kind: str, silent: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "sync":
        return
    with FaultyServer(stall_before_head) as server:
        io = io_of(kind, server.url)
        assert isinstance(io, AsyncIO)
        monkeypatch.setattr(NamingBackend, "late_name", lambda it: pytest.fail("not asked for"))
        with pytest.raises(TransportError) as caught:
            await io.send(ONE, io.now() + 0.2)
        assert caught.value.reached
        await close(io)


def test_a_loop_ends_while_a_name_server_is_silent(silent: NameServer) -> None:
    async def ask() -> None:
        io = io_of("asyncio", "http://router.example:9")
        with pytest.raises(TransportError):
            await io.send(ONE, io.now() + 0.05)
        await close(io)

    asyncio.run(ask())
    assert (silent.asked, silent.answered) == (1, 0)


@contextlib.contextmanager
def dropping(address: str, port: int) -> Iterator[None]:
    """Let an address drop every SYN: its queue of those who wait to be accepted is full."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(socket.create_server((address, port), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect((address, port))
        yield


async def test_an_address_that_says_nothing_leaves_time_for_the_next(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "FIRST_ADDRESSES", 0.05)
    NameServer(monkeypatch, "127.0.0.2", "127.0.0.1").speaks.set()
    with FaultyServer(STATUS) as server, dropping("127.0.0.2", server.port):
        io = io_of(kind, f"http://router.example:{server.port}")
        assert (await io.send(ONE, io.now() + 20)).status == 200
        await close(io)


@pytest.mark.parametrize("blocking_next", [True, False])
async def test_the_address_that_worked_is_the_first_of_every_later_client(
    kind: str, blocking_next: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    NameServer(monkeypatch, "127.0.0.2", "127.0.0.1").speaks.set()
    with FaultyServer(STATUS) as server:
        url = f"http://router.example:{server.port}"
        io = io_of(kind, url)
        assert (await io.send(ONE, io.now() + 20)).status == 200  # The first address refuses.
        await close(io)
        with dropping("127.0.0.2", server.port):
            io = io_of("sync" if blocking_next else kind, url)
            began = io.now()
            assert (await io.send(ONE, began + 60)).status == 200
            # Else it would have waited for the first address that long.
            assert io.now() - began < names.FIRST_ADDRESSES
            await close(io)


async def test_each_address_has_its_share_of_little_time(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    NameServer(monkeypatch, "127.0.0.2", "127.0.0.3", "127.0.0.1").speaks.set()
    with (
        FaultyServer(STATUS) as server,
        dropping("127.0.0.2", server.port),
        dropping("127.0.0.3", server.port),
    ):
        io = io_of(kind, f"http://router.example:{server.port}")
        # Less than the longest time for one address.
        assert (await io.send(ONE, io.now() + 1.5)).status == 200
        await close(io)


@pytest.mark.parametrize("host", ["router.example", "127.0.0.1"])
async def test_without_another_thread_there_is_no_connection(
    kind: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind != "sync" and host == "127.0.0.1":
        return  # Connected in the loop's own thread.
    NameServer(monkeypatch, "127.0.0.1").speaks.set()
    no_more = RuntimeError("can't start new thread")
    with FaultyServer(STATUS) as server, monkeypatch.context() as full:
        io = io_of(kind, f"http://{host}:{server.port}")
        thread = Mock(return_value=Mock(start=Mock(side_effect=no_more)))
        full.setattr(beginning, "threading", SimpleNamespace(Thread=thread, Lock=threading.Lock))
        with pytest.raises(TransportError, match="can't start another thread") as caught:
            await io.send(ONE, io.now() + 20)
        assert not caught.value.reached
        full.undo()
        assert (await io.send(ONE, io.now() + 20)).status == 200
        await close(io)


def test_an_interrupt_as_a_thread_starts_is_no_lack_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start() -> None:
        try:
            raise KeyboardInterrupt
        finally:
            # What `threading` makes of an interrupt in its own wait.
            raise RuntimeError("release unlocked lock")

    thread = SimpleNamespace(Thread=lambda **more: SimpleNamespace(start=start))
    monkeypatch.setattr(beginning, "threading", thread)
    with pytest.raises(KeyboardInterrupt):
        begin(lambda: None)


async def test_a_name_that_nobody_knows_is_told(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*given: Any, **more: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    io = io_of(kind, "http://router.example")
    with pytest.raises(TransportError, match="Name or service not known"):
        await io.send(ONE, io.now() + 20)
    await close(io)


def test_addresses_are_not_looked_up() -> None:
    assert [is_address(it) for it in ("127.0.0.1", "::1", "localhost", "1.2.3")] == [
        True,
        True,
        False,
        False,
    ]
