"""TLS above TLS, as through a proxy that speaks https, and what a peer's TLS does not say."""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import httpcore
import pytest
from faulty_server import FaultyServer, Line, Received, answer, head
from net_tools import SOME_ID, link_to
from tls_tools import CA, server_context

from pytest_hydrasmoke import TransportError
from pytest_hydrasmoke._transport import blocking
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.deadlines import DeadlineBackend
from pytest_hydrasmoke._transport.protocol import Request, drive

ONE = Request("status", "GET", f"/internal/v1/smoke/instances/{SOME_ID}")
STATUS = answer({"id": SOME_ID, "status": "running"})


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set the environment's proxy, whose certificate is trusted as the router's is."""

    def through(url: str) -> None:
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)

    made = blocking.core_proxy

    def trusting(url: str | None) -> httpcore.Proxy | None:
        proxy = made(url)
        assert proxy is not None
        proxy.ssl_context = ssl.create_default_context(cafile=CA)
        return proxy

    monkeypatch.setattr(blocking, "core_proxy", trusting)
    return through


def tunnel_to(port: int) -> Callable[[Line, Received], None]:
    def tunnel(line: Line, request: Received) -> None:
        line.send(head(200))
        line.relay("127.0.0.1", port)

    return tunnel


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """Accept connections, and say nothing; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_tunnel_through_a_proxy_that_speaks_https(proxied: Callable[[str], None]) -> None:
    big = answer(b'"' + b"z" * 500_000 + b'"')
    with (
        FaultyServer(big, tls=server_context()) as server,
        FaultyServer(tunnel_to(server.port), tls=server_context()) as proxy,
    ):
        proxied(proxy.url)
        io = SyncIO(link_to(server.url, ca_file=CA, trust_env=True))
        for _ in range(2):
            reply = drive(io.send(ONE, io.now() + 20))
            assert len(reply.body) == 500_002
        io.close()
    assert [request.method for request in proxy.requests] == ["CONNECT"]
    assert len(server.requests) == 2


def test_a_router_behind_it_that_never_shakes_hands_is_left_at_a_signal(
    proxied: Callable[[str], None],
) -> None:
    with silent() as port, FaultyServer(tunnel_to(port), tls=server_context()) as proxy:
        proxied(proxy.url)
        group = blocking.Gathering()
        io = SyncIO(
            link_to(f"https://127.0.0.1:{port}", ca_file=CA, trust_env=True),
            group=group,
            slice_seconds=0.01,
        )

        def hurry() -> None:
            assert proxy.arrived.wait(10)
            group.until = io.now() + 0.1

        hurrying = threading.Thread(target=hurry)
        hurrying.start()
        until = io.now() + 60
        with pytest.raises(TransportError, match="TLS handshake") as caught:
            drive(io.send(ONE, until))
        assert io.now() < until
        assert not caught.value.reached
        hurrying.join()
        io.close()


def test_who_ends_its_tls_in_the_middle_has_ended_the_connection() -> None:
    def cut(line: Line, request: Received) -> None:
        line.send(head(200) + b"half")
        line.close()

    with FaultyServer(cut, tls=server_context()) as server:
        io = SyncIO(link_to(server.url, ca_file=CA))
        # A body that ends with its connection: all that there is.
        assert drive(io.send(ONE, io.now() + 20)).body == b"half"
        io.close()


def test_what_was_received_and_not_yet_read_makes_a_connection_readable() -> None:
    sent = threading.Event()

    def two_records(line: Line, request: Received) -> None:
        line.send(b"a")
        line.send(b"b")
        sent.set()
        line.hang()

    context = ssl.create_default_context(cafile=CA)
    with FaultyServer(two_records, tls=server_context()) as server:
        raw = DeadlineBackend(lambda: math.inf).connect_tcp("127.0.0.1", server.port)
        stream = raw.start_tls(context, "127.0.0.1")
        stream.write(b"GET / HTTP/1.1\r\n\r\n")
        assert sent.wait(10)
        assert stream.read(1) == b"a"
        assert not raw.get_extra_info("is_readable")
        assert stream.get_extra_info("is_readable")
        assert stream.read(1) == b"b"
        stream.close()
