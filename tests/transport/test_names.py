"""Names that take their time, or stand for several addresses; threads that can't be had."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import transport_tools as tools
from faulty_server import FaultyServer
from net_tools import close, io_of, link_to

from pytest_hydrasmoke import TransportError
from pytest_hydrasmoke._base import signals, threads
from pytest_hydrasmoke._base.errors import TransportTimeoutError
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._transport import names
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.names import NamingBackend, is_address
from pytest_hydrasmoke._transport.protocol import drive

pytestmark = pytest.mark.anyio

ROUTER = "http://router.example"


async def test_a_silent_name_server_is_asked_once_and_heard_later(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = tools.NameServer(monkeypatch, "127.0.0.1")
    server.speaks.clear()
    with FaultyServer(tools.STATUS) as router:
        io = io_of(kind, f"{ROUTER}:{router.port}")
        for _ in range(3):
            with pytest.raises(TransportError, match=r"router\.example could not be resolved"):
                await io.send(tools.ONE, io.now() + 0.05)
        # Each attempt of blocking code has a thread of its own.
        assert server.asked == (3 if kind == "sync" else 1)
        server.speaks.set()
        for _ in range(2):
            assert (await io.send(tools.ONE, io.now() + 20)).status == 200
        await close(io)
        # What was found is for those that waited: the next connection asks anew.
        assert server.asked == (4 if kind == "sync" else 2)


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_a_name_that_another_waits_for_is_no_reason(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NamingBackend, "late_name", lambda it: pytest.fail("not asked for"))
    with tools.silent() as port, pytest.raises(TransportError, match="TLS handshake"):
        await tools.send(kind, f"https://127.0.0.1:{port}", 0.2)


def test_a_loop_ends_while_a_name_server_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    server = tools.NameServer(monkeypatch, "127.0.0.1")
    server.speaks.clear()
    with pytest.raises(TransportError):
        asyncio.run(tools.send("asyncio", ROUTER, 0.05))
    assert (server.asked, server.answered) == (1, 0)
    server.speaks.set()


@pytest.mark.parametrize("blocking_next", [True, False])
async def test_an_address_that_says_nothing_is_left_for_the_next_which_is_the_first_from_then_on(
    kind: str, blocking_next: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "FIRST_ADDRESSES", 0.05)
    tools.NameServer(monkeypatch, "127.0.0.3", "127.0.0.2", "127.0.0.1")
    # The first one refuses.
    with FaultyServer(tools.STATUS) as server, tools.dropping("127.0.0.2", server.port):
        url = f"{ROUTER}:{server.port}"
        assert (await tools.send(kind, url)).status == 200
        # Any later client, of any kind, would else wait for the silent one that long.
        monkeypatch.setattr(names, "FIRST_ADDRESSES", 20.0)
        began = time.monotonic()
        assert (await tools.send("sync" if blocking_next else kind, url, 60.0)).status == 200
        assert time.monotonic() - began < 20


async def test_each_address_has_its_share_of_little_time(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools.NameServer(monkeypatch, "127.0.0.2", "127.0.0.3", "127.0.0.1")
    with (
        FaultyServer(tools.STATUS) as server,
        tools.dropping("127.0.0.2", server.port),
        tools.dropping("127.0.0.3", server.port),
    ):
        # Less than the longest time for one address.
        assert (await tools.send(kind, f"{ROUTER}:{server.port}", 1.5)).status == 200


def test_each_address_has_its_share_of_what_a_signal_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signals, "CLEANUP_SECONDS", 1.5)
    tools.NameServer(monkeypatch, "127.0.0.2", "127.0.0.1")
    interrupts = Interrupts()
    interrupts.received = signal.SIGTERM
    with FaultyServer(tools.STATUS) as server, tools.dropping("127.0.0.2", server.port):
        io = SyncIO(link_to(f"{ROUTER}:{server.port}"), interrupts=interrupts)
        interrupts.begin_clean_up()
        assert drive(io.send(tools.ONE, io.now() + 60)).status == 200
        io.close()


@pytest.mark.parametrize(
    ("kind", "host"),
    [
        ("sync", "127.0.0.1"),
        ("sync", "router.example"),
        ("asyncio", "router.example"),
        ("trio", "router.example"),
    ],
)
async def test_without_another_thread_a_request_has_its_answer_and_its_deadline(
    kind: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools.NameServer(monkeypatch, "127.0.0.1")
    no_more = RuntimeError("can't start new thread")
    with FaultyServer(tools.STATUS) as server, monkeypatch.context() as full:
        io = io_of(kind, f"http://{host}:{server.port}")
        thread = Mock(return_value=Mock(start=Mock(side_effect=no_more)))
        full.setattr(threads, "threading", SimpleNamespace(Thread=thread, Lock=threading.Lock))
        assert (await io.send(tools.ONE, io.now() + 20)).status == 200
        await close(io)
        with tools.silent() as port:
            late = io_of(kind, f"http://{host}:{port}")
            with pytest.raises(TransportTimeoutError):
                await late.send(tools.ONE, late.now() + 0.2)
            await close(late)


def test_an_interrupt_as_a_thread_starts_is_no_lack_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start() -> None:
        try:
            raise KeyboardInterrupt
        finally:
            # What `threading` makes of an interrupt in its own wait.
            raise RuntimeError("release unlocked lock")

    thread: Any = SimpleNamespace(Thread=lambda **more: SimpleNamespace(start=start))
    monkeypatch.setattr(threads, "threading", thread)
    with pytest.raises(KeyboardInterrupt):
        threads.begin(lambda: None)


def test_addresses_are_not_looked_up() -> None:
    hosts = ("127.0.0.1", "::1", "localhost", "1.2.3")
    assert [is_address(it) for it in hosts] == [True, True, False, False]
