"""Connections: one deadline for all of a request, TLS, proxies, reuse, interrupts."""

from __future__ import annotations

import base64
import contextlib
import gc
import itertools
import math
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpcore
import httpx
import pytest
from faulty_server import (
    FaultyServer,
    Line,
    Received,
    answer,
    head,
    in_turn,
    stall_before_head,
    stall_in_body,
)
from net_tools import (
    AT_ONCE,
    FIELDS,
    SOME_ID,
    SPEC,
    TOKEN,
    assert_clean,
    calls_of,
    client_of,
    link_to,
    turn_of,
    whole_turn,
    within,
)

from pytest_hydrasmoke import ConfigError, InstanceSpec, SmokeClient, TransportError
from pytest_hydrasmoke._api.calls import CALL_TIMEOUT, Calls
from pytest_hydrasmoke._base import signals
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._plugin.clients import AsyncRunClient, RunClient
from pytest_hydrasmoke._transport import blocking, deadlines
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import KEEP_IDLE, SyncIO
from pytest_hydrasmoke._transport.deadlines import Attempt, DeadlineBackend, DeadlineStream
from pytest_hydrasmoke._transport.httpx_adapter import fault
from pytest_hydrasmoke._transport.names import NameTimeoutError
from pytest_hydrasmoke._transport.protocol import Request, drive
from pytest_hydrasmoke._transport.steps import Steps
from pytest_hydrasmoke._transport.threads import Group
from pytest_hydrasmoke.fake import FakeRouter, Scenario

pytestmark = pytest.mark.anyio

TLS = Path(__file__).parents[1] / "data" / "tls"
CA = TLS / "ca.pem"
STATUS = answer({"id": SOME_ID, "status": "running"})
PATH = f"/internal/v1/smoke/instances/{SOME_ID}"


ONE = Request("status", "GET", PATH)


@pytest.fixture
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem")
    return context


# The deadline of every operation, by itself


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
    over_tls: bool, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "SLICE", 0.04)

    def late(line: Line, request: Received) -> None:
        for piece in (b"HTTP/1.1 200 OK\r\ncontent-le", b"ngth: 5\r\n\r\nhel", b"lo"):
            time.sleep(0.1)
            line.send(piece)

    with FaultyServer(late, tls=tls if over_tls else None) as server:
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
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocking, "STOP_SECONDS", 0.1)
    group = Group()
    with FaultyServer(stall, tls=tls if over_tls else None) as server:
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


# What went wrong


def test_what_went_wrong_is_said_by_the_first_error_that_says_anything() -> None:
    def failing(*errors: Exception) -> Exception:
        for error, cause in itertools.pairwise(errors):
            error.__cause__ = cause
        return errors[0]

    link = link_to("http://router.example")
    deep = failing(httpx.ReadError(""), httpcore.ReadError(), OSError("the line is cut"), OSError())
    assert fault(deep, link).message == "the answer was lost (the line is cut)"
    own = failing(httpx.ReadError("mine"), OSError("theirs"))
    assert fault(own, link).message == "the answer was lost (mine)"
    silent = failing(httpx.ReadError(""), httpcore.ReadError())
    assert fault(silent, link).message == "the answer was lost (ReadError)"
    context = httpx.ConnectError("")
    context.__context__ = OSError("no route")
    assert (
        fault(context, link, Steps()).message == "no connection to http://router.example (no route)"
    )
    assert fault(httpx.ReadTimeout(""), link).late


def test_of_several_addresses_the_first_reason_is_told() -> None:
    refused = [ConnectionRefusedError(111, "Connect call failed"), OSError(113, "No route")]
    failed = httpx.ConnectError("All connection attempts failed")
    failed.__cause__ = OSError("All connection attempts failed")
    failed.__cause__.__cause__ = ExceptionGroup("multiple connection attempts failed", refused)
    message = fault(failed, link_to("https://router.example"), Steps()).message
    assert message == f"no connection to https://router.example ([Errno 111] {os.strerror(111)})"


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

        attempt = Attempt(connect, backend.opened)
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


# TLS


async def test_a_private_ca_is_trusted_once_it_is_named(kind: str, tls: ssl.SSLContext) -> None:
    with FaultyServer(STATUS, tls=tls) as server:
        async with calls_of(kind, server.url, ca_file=CA) as calls:
            for _ in range(2):
                assert (await calls.status(SOME_ID)).status == "running"
        assert len(server.requests) == 2


async def test_a_certificate_that_nobody_vouches_for_is_refused_and_named(
    kind: str, tls: ssl.SSLContext
) -> None:
    with FaultyServer(STATUS, tls=tls) as server:
        async with calls_of(kind, server.url) as calls:
            with pytest.raises(TransportError) as caught:
                await calls.status(SOME_ID, deadline=calls.io.now() + 0.4)
        assert server.requests == []
    assert not caught.value.reached
    assert_clean(caught.value)
    assert "certificate verify failed" in caught.value.message


async def test_a_certificate_for_another_name_is_refused(kind: str, tls: ssl.SSLContext) -> None:
    with FaultyServer(STATUS, tls=tls) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        async with calls_of(kind, url, ca_file=CA) as calls:
            with pytest.raises(TransportError) as caught:
                await calls.status(SOME_ID, deadline=calls.io.now() + 0.4)
        assert server.requests == []
    assert not caught.value.reached
    assert_clean(caught.value)


async def test_a_client_certificate_that_is_missing_is_an_error_of_transport(
    kind: str, tls: ssl.SSLContext
) -> None:
    # Under TLS 1.3 the client takes its handshake for done before the server has looked.
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(CA)
    with FaultyServer(STATUS, tls=tls) as server:
        async with calls_of(kind, server.url, ca_file=CA) as calls:
            with pytest.raises(TransportError) as caught:
                await calls.status(SOME_ID, deadline=calls.io.now() + 0.4)
        assert server.requests == []
    assert_clean(caught.value)


async def test_a_damaged_record_is_an_error_of_transport(kind: str, tls: ssl.SSLContext) -> None:
    def damage(line: Line, request: Received) -> None:
        os.write(line.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32)
        line.hang()

    with FaultyServer(damage, tls=tls) as server:
        async with calls_of(kind, server.url, ca_file=CA) as calls:
            with pytest.raises(TransportError) as caught:
                await calls.status(SOME_ID, deadline=calls.io.now() + 0.4)
    assert caught.value.reached
    assert_clean(caught.value)


async def test_a_handshake_that_stalls_ends_with_the_deadline(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"https://127.0.0.1:{deaf.getsockname()[1]}"
        async with calls_of(kind, url, ca_file=CA) as calls:
            with pytest.raises(TransportError) as caught:
                await calls.status(SOME_ID, deadline=calls.io.now() + 0.1)
    assert caught.value.late
    assert not caught.value.reached
    assert_clean(caught.value)


async def test_a_stream_over_tls_keeps_its_deadline(kind: str, tls: ssl.SSLContext) -> None:
    with FaultyServer(stall_in_body, tls=tls) as server:
        async with calls_of(kind, server.url, ca_file=CA) as calls:
            with pytest.raises(TimeoutError) as caught:
                await whole_turn(calls, 0.3)
    assert_clean(caught.value)


# Proxies


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that knows of no proxy yet."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return monkeypatch


async def test_the_environments_proxy_is_used_if_it_is_trusted(
    kind: str, environment: pytest.MonkeyPatch
) -> None:
    with FaultyServer(STATUS) as proxy, FaultyServer(STATUS) as server:
        environment.setenv("HTTP_PROXY", proxy.url.replace("://", "://me:secret%21@"))
        environment.setenv("http_proxy", proxy.url.replace("://", "://me:secret%21@"))
        async with calls_of(kind, server.url, trust_env=True) as calls:
            assert (await calls.status(SOME_ID)).status == "running"
        assert server.requests == []
        [request] = proxy.requests
        assert request.target == server.url + PATH
        user = base64.b64encode(b"me:secret!").decode()
        assert request.headers["proxy-authorization"] == f"Basic {user}"


async def test_no_proxy_is_honoured(kind: str, environment: pytest.MonkeyPatch) -> None:
    with FaultyServer(STATUS) as proxy, FaultyServer(STATUS) as server:
        environment.setenv("http_proxy", proxy.url)
        environment.setenv("no_proxy", "somewhere.example,127.0.0.1")
        async with calls_of(kind, server.url, trust_env=True) as calls:
            await calls.status(SOME_ID)
        assert len(server.requests) == 1
        assert proxy.requests == []


async def test_an_environment_that_is_not_trusted_is_ignored(
    kind: str, environment: pytest.MonkeyPatch
) -> None:
    with FaultyServer(STATUS) as proxy, FaultyServer(STATUS) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            environment.setenv(name, proxy.url)
        async with calls_of(kind, server.url) as calls:
            await calls.status(SOME_ID)
        assert len(server.requests) == 1
        assert proxy.requests == []


async def test_all_proxy_is_the_proxy_of_whatever_has_none(
    kind: str, environment: pytest.MonkeyPatch
) -> None:
    with FaultyServer(STATUS) as proxy, FaultyServer(STATUS) as server:
        environment.setenv("all_proxy", proxy.url)
        async with calls_of(kind, server.url, trust_env=True) as calls:
            await calls.status(SOME_ID)
        assert server.requests == []
        assert len(proxy.requests) == 1


async def test_a_proxy_given_without_a_scheme_speaks_http(
    kind: str, environment: pytest.MonkeyPatch
) -> None:
    with FaultyServer(STATUS) as proxy, FaultyServer(STATUS) as server:
        environment.setenv("http_proxy", proxy.url.removeprefix("http://"))
        async with calls_of(kind, server.url, trust_env=True) as calls:
            await calls.status(SOME_ID)
        assert len(proxy.requests) == 1
        assert server.requests == []


@pytest.mark.parametrize("scheme", ["gopher", "socks5"])
async def test_a_proxy_of_a_kind_that_is_not_spoken_is_a_config_error(
    kind: str, environment: pytest.MonkeyPatch, scheme: str
) -> None:
    environment.setenv("all_proxy", f"{scheme}://127.0.0.1:1")
    with pytest.raises(ConfigError, match=f"the environment's proxy speaks {scheme}"):
        async with calls_of(kind, "http://127.0.0.1:1", trust_env=True) as calls:
            await calls.status(SOME_ID, deadline=calls.io.now() + 0.2)


async def test_a_tunnel_through_a_proxy_never_sees_the_token(
    kind: str, environment: pytest.MonkeyPatch, tls: ssl.SSLContext
) -> None:
    def tunnel(line: Line, request: Received) -> None:
        assert request.method == "CONNECT"
        line.send(head(200))
        line.relay("127.0.0.1", server.port)

    with FaultyServer(STATUS, tls=tls) as server, FaultyServer(tunnel) as proxy:
        environment.setenv("https_proxy", proxy.url)
        async with calls_of(kind, server.url, trust_env=True, ca_file=CA) as calls:
            assert (await calls.status(SOME_ID)).status == "running"
        [request] = proxy.requests
        assert request.target == f"127.0.0.1:{server.port}"
        assert "authorization" not in request.headers
        assert len(server.requests) == 1


async def test_a_proxy_that_refuses_its_tunnel_was_never_passed(
    kind: str, environment: pytest.MonkeyPatch
) -> None:
    with FaultyServer(answer(b"", 407)) as proxy:
        environment.setenv("https_proxy", proxy.url)
        async with calls_of(kind, "https://127.0.0.1:1", trust_env=True) as calls:
            with pytest.raises(TransportError) as caught:
                await calls.status(SOME_ID, deadline=calls.io.now() + 1.0)
    assert not caught.value.reached
    assert "407" in caught.value.message
    assert_clean(caught.value)


# Reuse


def test_blocking_calls_in_a_row_share_a_connection() -> None:
    with FaultyServer(STATUS) as server:
        with SmokeClient(server.url, token=TOKEN) as client:
            for _ in range(3):
                client.status(SOME_ID)
        assert len(server._conns) == 1
        assert KEEP_IDLE < 5


def test_a_connection_that_is_used_again_keeps_no_deadline_of_the_call_before() -> None:
    with FaultyServer(STATUS) as server:
        io = SyncIO(link_to(server.url))
        drive(io.send(ONE, io.now() + 0.3))
        time.sleep(0.4)
        assert drive(io.send(ONE, io.now() + 5)).status == 200
        io.close()
        assert len(server._conns) == 1


async def test_async_calls_leave_no_connection_behind(kind: str) -> None:
    if kind == "sync":
        return
    with FaultyServer(STATUS) as server:
        async with calls_of(kind, server.url) as calls:
            for _ in range(3):
                await calls.status(SOME_ID)
                assert calls.io._pool.connections == []  # type: ignore[attr-defined]
        assert len(server._conns) == 3


async def test_a_client_can_be_used_again_after_it_was_closed(kind: str) -> None:
    with FaultyServer(STATUS) as server:
        client: Any = client_of(kind, server.url)
        if kind == "sync":
            client.close()
            client.status(SOME_ID)
            client.close()
            client.close()
        else:
            await client.status(SOME_ID)
            await client.aclose()
            await client.aclose()


def test_an_idle_connection_that_the_server_has_closed_is_not_used() -> None:
    def once(line: Line, request: Received) -> None:
        STATUS(line, request)
        line.close()

    with FaultyServer(once) as server, SmokeClient(server.url, token=TOKEN) as client:
        for _ in range(3):
            client.status(SOME_ID)
            time.sleep(0.01)
        assert len(server.requests) == 3


# Interrupts in blocking code


def interrupt_soon(server: FaultyServer) -> threading.Thread:
    """Interrupt the main thread, as Ctrl-C does, once the server has a request."""

    def interrupt() -> None:
        assert server.arrived.wait(5)
        time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


@pytest.mark.parametrize("stall", [stall_before_head, stall_in_body])
def test_an_interrupt_comes_out_at_once_and_the_client_goes_on(
    stall: Callable[[Line, Received], None],
) -> None:
    with FaultyServer(in_turn(stall, STATUS)) as server:
        with SmokeClient(server.url, token=TOKEN) as client:
            thread = interrupt_soon(server)
            until = time.monotonic() + CALL_TIMEOUT
            with pytest.raises(KeyboardInterrupt):
                client.status(SOME_ID)
            assert time.monotonic() < until
            thread.join()
            assert client.status(SOME_ID).status == "running"
        gc.collect()  # a socket that nobody closed would be a warning, and so an error


def test_an_interrupt_in_a_stream_gives_the_turn_back() -> None:
    def half(line: Line, request: Received) -> None:
        line.send(head(200, "content-type: text/event-stream", "transfer-encoding: chunked"))
        line.send(b"9\r\ndata: a\n\n\r\n")
        line.hang()

    with FaultyServer(half) as server, SmokeClient(server.url, token=TOKEN) as client:
        thread = interrupt_soon(server)
        with pytest.raises(KeyboardInterrupt), client.stream_chat(SOME_ID, "hello") as events:
            for _ in events:
                pass
        thread.join()
        with client.stream_chat(SOME_ID, "hello") as events:
            assert next(events).data == "a"
    gc.collect()


def test_an_interrupt_as_a_stream_is_let_go_holds_up_no_later_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_go = httpcore._sync.http11.HTTP11Connection._response_closed

    def interrupted(connection: Any) -> None:
        monkeypatch.undo()
        let_go(connection)
        # As the lock is given back, where a signal may come too.
        connection._state_lock.__enter__()
        raise KeyboardInterrupt

    statuses: list[str] = []
    with FakeRouter(Scenario(row_after=0, statuses=((0, "running"),))) as fake:
        client = SmokeClient(fake.url, token=fake.token)
        client.provision(InstanceSpec(**FIELDS), "key")
        instance_id = str(client.poll("key").instance_id)
        monkeypatch.setattr(httpcore._sync.http11.HTTP11Connection, "_response_closed", interrupted)
        with pytest.raises(KeyboardInterrupt), client.stream_chat(instance_id, "hello") as events:
            list(events)
        # A daemon: what waits for that lock waits for ever.
        call = threading.Thread(
            target=lambda: statuses.append(client.status(instance_id).status), daemon=True
        )
        call.start()
        call.join(10)
        assert statuses == ["running"]
        client.close()


# The IO itself


async def test_what_sleeps_less_than_nothing_does_not_sleep(kind: str) -> None:
    async with calls_of(kind, "http://127.0.0.1:1") as calls:
        await calls.io.sleep(-1)
        await calls.io.sleep(0.001)


def test_an_io_of_a_group_that_is_stopped_does_nothing_more() -> None:
    group = Group()
    io = SyncIO(link_to("http://127.0.0.1:1"), group=group)
    drive(io.sleep(0.001))
    group.stop()
    for work in (io.sleep(60), io.send(ONE, io.now() + 60)):
        with pytest.raises(TransportError, match="stopped") as caught:
            drive(work)
        assert not caught.value.reached


def test_a_sleep_of_a_group_ends_when_it_is_stopped() -> None:
    group = Group()
    io = SyncIO(link_to("http://127.0.0.1:1"), group=group)
    threading.Timer(0.02, group.stopped.set).start()
    with pytest.raises(TransportError, match="stopped"):
        drive(io.sleep(60))


async def test_a_link_without_a_token_sends_none(kind: str) -> None:
    with FaultyServer(STATUS) as server:
        link = link_to(server.url)
        bare = type(link)(link.base_url, None)
        io = SyncIO(bare) if kind == "sync" else AsyncIO(bare)
        await Calls(io).status(SOME_ID)
        if isinstance(io, SyncIO):
            io.close()
        assert "authorization" not in server.requests[0].headers


async def test_clients_of_a_run_are_clients(kind: str) -> None:
    with FakeRouter(AT_ONCE) as fake:
        link = type(link_to(fake.url))(fake.url, Token(fake.token))
        if kind == "sync":
            with RunClient(SyncIO(link), Reading()) as client:
                assert client.provision(SPEC, "key").idempotency_key == "key"
        else:
            async with AsyncRunClient(AsyncIO(link), Reading()) as other:
                assert (await other.provision(SPEC, "key")).idempotency_key == "key"


@pytest.mark.parametrize(
    "url",
    [
        "router.example",
        "ftp://router.example",
        "https://me:pw@router.example",
        "https://router.example/?x=1",
        "https://router.example/internal/v1/smoke",
        "https://router.example/a b",
        "https://router.example:x",
    ],
)
async def test_a_url_that_is_none_is_refused(kind: str, url: str) -> None:
    with pytest.raises(ConfigError, match="the router's URL"):
        client_of(kind, url)


@pytest.mark.parametrize("token", ["", "brief", "with space in it", "newline-at-end\n"])
async def test_a_token_that_is_none_is_refused_unseen(kind: str, token: str) -> None:
    with pytest.raises(ConfigError, match="the token") as caught:
        client_of(kind, "https://router.example", token=token)
    assert not token or token not in str(caught.value)


async def test_a_stream_can_be_closed_twice_and_in_the_middle(kind: str) -> None:
    with FakeRouter(AT_ONCE) as fake:
        link = type(link_to(fake.url))(fake.url, Token(fake.token))
        io = SyncIO(link) if kind == "sync" else AsyncIO(link)
        calls = Calls(io)
        accepted = await calls.provision(SPEC, "key")
        assert accepted.instance_id is not None
        turn = turn_of(calls, accepted.instance_id)
        await turn.open()
        await turn.close()
        await turn.close()
        async with within(client_of(kind, fake.url, token=fake.token)):
            pass
        if isinstance(io, SyncIO):
            io.close()
