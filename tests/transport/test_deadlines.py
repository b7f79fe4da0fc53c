"""One deadline for all of a request, TLS and proxies included, and what ends it before."""

from __future__ import annotations

import contextlib
import math
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import faulty_server as faulty
import httpcore
import plugin_tools
import pytest
import transport_tools as tools
from net_tools import assert_clean, link_to
from tls_tools import CA, server_context

from pytest_hydrasmoke import TransportError
from pytest_hydrasmoke._base import signals
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._transport import blocking, deadlines, gathering
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.deadlines import Connecting, DeadlineBackend, DeadlineStream
from pytest_hydrasmoke._transport.gathering import Gathering
from pytest_hydrasmoke._transport.names import NameTimeoutError
from pytest_hydrasmoke._transport.protocol import drive

HOST = "127.0.0.1"
STALLS = pytest.mark.parametrize("stall", [faulty.stall_before_head, faulty.stall_in_body])
OVER_TLS = pytest.mark.parametrize("over_tls", [False, True], ids=["plain", "over TLS"])


def never() -> float:
    return math.inf


def serving(behave: faulty.Behaviour, over_tls: bool = True) -> faulty.FaultyServer:
    return faulty.FaultyServer(behave, tls=server_context() if over_tls else None)


def soon(work: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(0.05, work)
    timer.start()
    return timer


# Each operation by itself

WAITS: dict[str, tuple[Callable[[Any, float | None], object], type[Exception]]] = {
    "read": (lambda it, at: it.read(10, at), httpcore.ReadTimeout),
    "write": (lambda it, at: it.write(b"x" * (16 << 20), at), httpcore.WriteTimeout),
    "handshake": (
        lambda it, at: it.start_tls(ssl.create_default_context(), "localhost", at),
        httpcore.ConnectTimeout,
    ),
}


class Hurry:
    """A signal that comes after some looks."""

    looks = math.inf

    def __call__(self) -> float:
        self.looks -= 1
        return math.inf if self.looks > 0 else -math.inf


@pytest.mark.parametrize("wait", WAITS)
def test_what_waits_for_its_peer_ends_at_the_deadline_or_early_at_a_signal(wait: str) -> None:
    work, late = WAITS[wait]
    with tools.silent() as port:
        # A deadline that comes, one that has passed, one that a signal shortens, and none at all.
        for seconds, looks in ((0.05, math.inf), (-1, math.inf), (60, 4), (None, 4)):
            hurry = Hurry()
            stream: Any = DeadlineBackend(hurry, 0.01).connect_tcp(HOST, port)
            hurry.looks = looks
            began = time.monotonic()
            until = None if seconds is None else began + seconds
            with pytest.raises(late, match=r"the deadline has passed|timed out") as caught:
                work(stream, until)
            assert seconds != 0.05 or time.monotonic() - began > 0.04
            assert looks == math.inf or hurry.looks == 0
            # What was not written at all is told from what was in part.
            unwritten = isinstance(caught.value, deadlines.Unwritten)
            assert seconds == 0.05 or unwritten is (wait == "write" and seconds == -1)
            if looks == 4:
                with pytest.raises(late, match="the deadline has passed"):
                    work(stream, until)
            stream.close()


def test_the_tighter_of_two_deadlines_holds_and_none_is_for_ever() -> None:
    with faulty.FaultyServer(tools.STATUS) as server:
        stream: Any = DeadlineBackend(never).connect_tcp(HOST, server.port)
        stream.write(b"GET / HTTP/1.1\r\nhost: x\r\naccept: */*\r\n\r\n")
        assert stream.read(8, math.inf) == b"HTTP/1.1"
        assert stream.read(1) == b" "
        assert stream.get_extra_info("server_addr") == (HOST, server.port)
        stream.limit(time.monotonic() - 1)
        for until in (None, time.monotonic() + 60):
            with pytest.raises(httpcore.ReadTimeout):
                stream.read(1, until)
        stream.close()


@OVER_TLS
def test_a_read_that_waits_in_bits_loses_nothing(
    over_tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "SLICE", 0.01)

    def late(line: faulty.Line, request: faulty.Received) -> None:
        for piece in (b"HTTP/1.1 200 OK\r\ncontent-le", b"ngth: 5\r\n\r\nhel", b"lo"):
            line.server.over.wait(0.03)
            line.send(piece)

    with serving(late, over_tls) as server:
        io = SyncIO(link_to(server.url, ca_file=CA), slice_seconds=0.01)
        assert drive(io.send(tools.ONE, io.now() + 10)).body == b"hello"
        io.close()


# Groups and signals


@STALLS
@OVER_TLS
def test_a_blocked_request_ends_with_its_group(
    stall: faulty.Behaviour, over_tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "STOP_SECONDS", 0.1)
    group = Gathering()
    with serving(stall, over_tls) as server:
        io = SyncIO(link_to(server.url, ca_file=CA), group=group)
        stopping = threading.Thread(target=lambda: (server.arrived.wait(5), group.stop()))
        stopping.start()
        until = io.now() + 30
        with pytest.raises(TransportError) as caught:
            drive(io.send(tools.ONE, until))
        assert io.now() < until
        stopping.join()
        io.close()
    assert caught.value.reached
    assert_clean(caught.value)


def test_an_io_of_a_group_that_is_stopped_does_nothing_more() -> None:
    group = Gathering()
    io = SyncIO(link_to("http://127.0.0.1:1"), group=group)
    drive(io.sleep(0.001))
    stopping = soon(group.stop)
    for work in (io.sleep(60), io.sleep(60), io.send(tools.ONE, io.now() + 60)):
        with pytest.raises(TransportError, match="stopped") as caught:
            drive(work)
        assert not caught.value.reached
    stopping.join()


def test_a_signal_gives_what_is_under_way_a_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "CLEANUP_SECONDS", 0.3)
    interrupts = Interrupts()
    assert interrupts.deadline() == math.inf
    with faulty.FaultyServer(faulty.stall_before_head) as server:
        io = SyncIO(link_to(server.url), interrupts=interrupts)
        interrupts.received = signal.SIGTERM
        until = io.now() + 30
        for work in (io.send(tools.ONE, until), io.sleep(30)):
            interrupts._at = math.inf
            coming = soon(interrupts.begin_clean_up)
            with contextlib.suppress(TransportError):
                drive(work)
            # The sleep leaves the last attempt its time.
            assert io.now() < until
            coming.join()
        io.close()
    assert len(server.requests) == 1


# Connecting, which the system does in its own time


def test_a_signal_ends_a_connection_that_is_being_made(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried = [math.inf]
    names = tools.NameServer(monkeypatch, HOST)
    names.speaks.clear()
    coming = soon(lambda: hurried.append(time.monotonic()))
    with pytest.raises(httpcore.ConnectTimeout):
        DeadlineBackend(lambda: hurried[-1], 0.01).connect_tcp("router.example", 9)
    names.speaks.set()
    coming.join()


def test_an_address_that_takes_its_time_is_no_name_that_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()

    def connect_tcp(*arguments: Any) -> Any:
        over.wait(60)
        raise httpcore.ConnectError("nobody wants it any more")

    backend = DeadlineBackend(never, 0.01)
    monkeypatch.setattr(backend, "_inner", SimpleNamespace(connect_tcp=connect_tcp))
    # It looks at the clock again once the address is on its way.
    with pytest.raises(httpcore.ConnectTimeout) as caught:
        backend.connect_tcp(HOST, 9, time.monotonic() + 0.3)
    over.set()
    assert not isinstance(caught.value, NameTimeoutError)


@pytest.mark.parametrize("made_first", [True, False])
def test_a_connection_that_nobody_wants_any_more_is_closed(made_first: bool) -> None:
    wanted = threading.Event()
    with socket.create_server((HOST, 0)) as peer:
        port = peer.getsockname()[1]
        backend = DeadlineBackend(never)

        def connect() -> DeadlineStream:
            assert wanted.wait(10)
            return DeadlineStream(httpcore.SyncBackend().connect_tcp(HOST, port), backend)

        attempt = Connecting(connect, backend.opened)
        if made_first:
            wanted.set()
            assert attempt.ended.wait(10)
        backend.close()
        wanted.set()
        with peer.accept()[0] as conn:
            assert conn.recv(1) == b""
        plugin_tools.until(lambda: backend.opened == set())


# TLS above TLS, as through a proxy that speaks https, and what a peer's TLS does not say


def test_a_tunnel_through_a_proxy_that_speaks_https(monkeypatch: pytest.MonkeyPatch) -> None:
    made = blocking.core_proxy

    def trusting(url: str | None) -> httpcore.Proxy | None:
        proxy = made(url)
        assert proxy is not None
        proxy.ssl_context = ssl.create_default_context(cafile=CA)
        return proxy

    monkeypatch.setattr(blocking, "core_proxy", trusting)
    tools.without_proxies(monkeypatch)
    big, group = faulty.answer(b'"' + b"z" * 500_000 + b'"'), Gathering()
    with serving(big) as server, serving(tools.tunnel_to(server.port)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        io = SyncIO(link_to(server.url, ca_file=CA, trust_env=True))
        for _ in range(2):
            assert len(drive(io.send(tools.ONE, io.now() + 20)).body) == 500_002
        io.close()
    assert [request.method for request in proxy.requests] == ["CONNECT"]
    assert len(server.requests) == 2
    # A router behind it that never shakes hands is left at a signal.
    with tools.silent() as port, serving(tools.tunnel_to(port)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        link = link_to(f"https://{HOST}:{port}", ca_file=CA, trust_env=True)
        io = SyncIO(link, group=group, slice_seconds=0.01)

        def hurry() -> None:
            assert proxy.arrived.wait(10)
            group.until = io.now() + 0.1

        hurrying = threading.Thread(target=hurry)
        hurrying.start()
        until = io.now() + 60
        with pytest.raises(TransportError, match="TLS handshake") as caught:
            drive(io.send(tools.ONE, until))
        assert io.now() < until
        assert not caught.value.reached
        hurrying.join()
        io.close()


def test_who_ends_its_tls_in_the_middle_has_ended_the_connection() -> None:
    def cut(line: faulty.Line, request: faulty.Received) -> None:
        line.send(faulty.head(200) + b"half")
        line.close()

    with serving(cut) as server:
        io = SyncIO(link_to(server.url, ca_file=CA))
        # A body that ends with its connection: all that there is.
        assert drive(io.send(tools.ONE, io.now() + 20)).body == b"half"
        io.close()


def test_what_was_received_and_not_yet_read_makes_a_connection_readable() -> None:
    sent = threading.Event()

    def two_records(line: faulty.Line, request: faulty.Received) -> None:
        line.send(b"a")
        line.send(b"b")
        sent.set()
        line.hang()

    with serving(two_records) as server:
        raw = DeadlineBackend(never).connect_tcp(HOST, server.port)
        stream = raw.start_tls(ssl.create_default_context(cafile=CA), HOST)
        stream.write(b"GET / HTTP/1.1\r\n\r\n")
        assert sent.wait(10)
        assert stream.read(1) == b"a"
        assert not raw.get_extra_info("is_readable")
        assert stream.get_extra_info("is_readable")
        assert stream.read(1) == b"b"
        stream.close()
