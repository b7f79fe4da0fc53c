"""One deadline for all of a request: each operation by itself, and what ends it before."""

from __future__ import annotations

import contextlib
import math
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpcore
import pytest
from faulty_server import (
    FaultyServer,
    Line,
    Received,
    answer,
    stall_before_head,
    stall_in_body,
)
from net_tools import (
    SOME_ID,
    assert_clean,
    link_to,
)
from tls_tools import CA, server_context

from pytest_hydrasmoke import TransportError
from pytest_hydrasmoke._base import signals
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._transport import deadlines, threads
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.deadlines import Connecting, DeadlineBackend, DeadlineStream
from pytest_hydrasmoke._transport.names import NameTimeoutError
from pytest_hydrasmoke._transport.protocol import Request, drive
from pytest_hydrasmoke._transport.threads import Gathering

STATUS = answer({"id": SOME_ID, "status": "running"})


ONE = Request("status", "GET", f"/internal/v1/smoke/instances/{SOME_ID}")


def never() -> float:
    return math.inf


@contextlib.contextmanager
def connected(
    peer: FaultyServer, cleanup_deadline: Callable[[], float] = never
) -> Iterator[httpcore.NetworkStream]:
    stream = DeadlineBackend(cleanup_deadline).connect_tcp("127.0.0.1", peer.port)
    try:
        yield stream
    finally:
        stream.close()


def in_a_moment() -> float:
    return time.monotonic() + 0.05


def test_no_connection_is_begun_after_the_deadline() -> None:
    with FaultyServer(STATUS) as server, pytest.raises(httpcore.ConnectTimeout):
        DeadlineBackend(never).connect_tcp("127.0.0.1", server.port, time.monotonic() - 1)


def test_reading_ends_at_the_deadline_and_not_later() -> None:
    with FaultyServer(stall_before_head) as server, connected(server) as stream:
        with pytest.raises(httpcore.ReadTimeout):
            stream.read(10, in_a_moment())
        with pytest.raises(httpcore.ReadTimeout, match="the deadline has passed"):
            stream.read(10, time.monotonic() - 1)


def test_writing_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        stream = DeadlineBackend(never).connect_tcp("127.0.0.1", deaf.getsockname()[1])
        with pytest.raises(httpcore.WriteTimeout):
            stream.write(b"x" * (64 << 20), in_a_moment())
        with pytest.raises(httpcore.WriteTimeout):
            stream.write(b"x", time.monotonic() - 1)
        stream.close()


@pytest.mark.parametrize("left", [0.05, -1])
def test_a_handshake_ends_at_the_deadline(left: float) -> None:
    with (
        FaultyServer(stall_before_head) as server,
        connected(server) as stream,
        pytest.raises(httpcore.ConnectTimeout),
    ):
        stream.start_tls(ssl.create_default_context(), "localhost", time.monotonic() + left)


def test_the_tighter_of_two_deadlines_holds_and_none_is_for_ever() -> None:
    with FaultyServer(STATUS) as server, connected(server) as stream:
        stream.write(b"GET / HTTP/1.1\r\nhost: x\r\naccept: */*\r\n\r\n")
        assert stream.read(8, math.inf) == b"HTTP/1.1"
        assert stream.read(1) == b" "
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", server.port)
        stream.limit(time.monotonic() - 1)  # type: ignore[attr-defined]
        with pytest.raises(httpcore.ReadTimeout):
            stream.read(1)
        with pytest.raises(httpcore.ReadTimeout):
            stream.read(1, time.monotonic() + 60)


@pytest.mark.parametrize("over_tls", [False, True])
def test_a_read_that_waits_in_bits_loses_nothing(
    over_tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "SLICE", 0.04)

    def late(line: Line, request: Received) -> None:
        for piece in (b"HTTP/1.1 200 OK\r\ncontent-le", b"ngth: 5\r\n\r\nhel", b"lo"):
            time.sleep(0.1)
            line.send(piece)

    with FaultyServer(late, tls=server_context() if over_tls else None) as server:
        io = SyncIO(link_to(server.url, ca_file=CA))
        assert drive(io.send(ONE, io.now() + 10)).body == b"hello"
        io.close()


@pytest.mark.parametrize("timeout", [None, 60])
def test_what_hurries_is_noticed_by_a_read_that_waits(timeout: float | None) -> None:
    start = time.monotonic()
    hurry = math.inf
    until = None if timeout is None else start + timeout
    with FaultyServer(stall_before_head) as server, connected(server, lambda: hurry) as stream:

        def come_up() -> None:
            nonlocal hurry
            hurry = -math.inf

        coming = threading.Timer(0.05, come_up)
        coming.start()
        with pytest.raises(httpcore.ReadTimeout):
            stream.read(1, until)
        assert time.monotonic() - start > 0.04
        assert until is None or time.monotonic() < until
        coming.join()
        with pytest.raises(httpcore.WriteTimeout):
            stream.write(b"x", until)
        with pytest.raises(httpcore.ConnectTimeout):
            stream.start_tls(ssl.create_default_context(), "localhost", until)


@pytest.mark.parametrize(
    ("work", "late"),
    [
        (
            lambda it, at: it.start_tls(ssl.create_default_context(), "localhost", at),
            httpcore.ConnectTimeout,
        ),
        (lambda it, at: it.write(b"x" * (64 << 20), at), httpcore.WriteTimeout),
    ],
    ids=["handshake", "write"],
)
def test_what_waits_for_its_peer_ends_early_where_a_signal_comes(
    work: Callable[[httpcore.NetworkStream, float], object], late: type[Exception]
) -> None:
    hurry, until = [math.inf], time.monotonic() + 60
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        stream = DeadlineBackend(lambda: hurry[-1], 0.01).connect_tcp(*deaf.getsockname())
        coming = threading.Timer(0.05, lambda: hurry.append(-math.inf))
        coming.start()
        with pytest.raises(late):
            work(stream, until)
        assert time.monotonic() < until
        coming.join()
        stream.close()


@pytest.mark.parametrize("over_tls", [False, True])
@pytest.mark.parametrize("stall", [stall_before_head, stall_in_body])
def test_a_blocked_request_ends_with_its_group(
    stall: Callable[[Line, Received], None],
    over_tls: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "STOP_SECONDS", 0.1)
    group = Gathering()
    with FaultyServer(stall, tls=server_context() if over_tls else None) as server:
        io = SyncIO(link_to(server.url, ca_file=CA), group=group)

        def stop() -> None:
            server.arrived.wait(5)
            time.sleep(0.05)
            group.stop()

        stopping = threading.Thread(target=stop)
        stopping.start()
        until = io.now() + 30
        with pytest.raises(TransportError) as caught:
            drive(io.send(ONE, until))
        assert io.now() < until
        stopping.join()
        io.close()
    assert caught.value.reached
    assert_clean(caught.value)


def test_a_signal_gives_what_is_under_way_a_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "CLEANUP_SECONDS", 0.3)
    interrupts = Interrupts()
    assert interrupts.deadline() == math.inf
    with FaultyServer(stall_before_head) as server:
        io = SyncIO(link_to(server.url), interrupts=interrupts)
        interrupts.received = signal.SIGTERM
        until = io.now() + 30
        for work in (io.send(ONE, until), io.sleep(30)):
            coming = threading.Timer(0.05, interrupts.begin_clean_up)
            interrupts._at = math.inf
            coming.start()
            with contextlib.suppress(TransportError):
                drive(work)
            # The sleep leaves the last attempt its time.
            assert io.now() < until
            coming.join()
        io.close()
    assert len(server.requests) == 1


# Connecting, which the system does in its own time


@contextlib.contextmanager
def slow_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let no name be known before an event is set."""
    known, ask = threading.Event(), socket.getaddrinfo

    def slowly(*arguments: Any, **more: Any) -> Any:
        known.wait(60)
        return ask(*arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    try:
        yield known
    finally:
        known.set()


def test_a_name_that_takes_its_time_is_waited_for_no_longer_than_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as peer, slow_names(monkeypatch) as known:
        port = peer.getsockname()[1]
        with pytest.raises(httpcore.ConnectTimeout):
            DeadlineBackend(never, 0.01).connect_tcp("localhost", port, in_a_moment())
        known.set()


def test_an_address_that_takes_its_time_is_no_name_that_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()

    def connect_tcp(*arguments: Any) -> Any:
        over.wait(60)
        raise httpcore.ConnectError("nobody wants it any more")

    backend = DeadlineBackend(never, 0.01)
    monkeypatch.setattr(backend, "_inner", SimpleNamespace(connect_tcp=connect_tcp))
    try:
        # It looks at the clock again once the address is on its way.
        with pytest.raises(httpcore.ConnectTimeout) as caught:
            backend.connect_tcp("127.0.0.1", 9, time.monotonic() + 0.5)
    finally:
        over.set()
    assert not isinstance(caught.value, NameTimeoutError)


def test_a_signal_ends_a_connection_that_is_being_made(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried = [math.inf]
    with slow_names(monkeypatch):
        threading.Timer(0.02, lambda: hurried.append(time.monotonic())).start()
        with pytest.raises(httpcore.ConnectTimeout):
            DeadlineBackend(lambda: hurried[-1], 0.01).connect_tcp("localhost", 9)


@pytest.mark.parametrize("made_first", [True, False])
def test_a_connection_that_nobody_wants_any_more_is_closed(made_first: bool) -> None:
    wanted = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as peer:
        port = peer.getsockname()[1]
        backend = DeadlineBackend(never)

        def connect() -> DeadlineStream:
            assert wanted.wait(10)
            return DeadlineStream(httpcore.SyncBackend().connect_tcp("127.0.0.1", port), backend)

        attempt = Connecting(connect, backend.opened)
        if made_first:
            wanted.set()
            assert attempt.ended.wait(10)
        backend.close()
        wanted.set()
        assert attempt.ended.wait(10)
        assert backend.opened == set()
        conn, _ = peer.accept()
        with conn:
            assert conn.recv(1) == b""


# Groups


def test_an_io_of_a_group_that_is_stopped_does_nothing_more() -> None:
    group = Gathering()
    io = SyncIO(link_to("http://127.0.0.1:1"), group=group)
    drive(io.sleep(0.001))
    threading.Timer(0.02, group.stop).start()
    with pytest.raises(TransportError, match="stopped"):
        drive(io.sleep(60))
    for work in (io.sleep(60), io.send(ONE, io.now() + 60)):
        with pytest.raises(TransportError, match="stopped") as caught:
            drive(work)
        assert not caught.value.reached
