"""Whether a request may have arrived, and whose failure it was: the same by every way.

A wrong "not reached" could leak an instance; a wrong "reached" sends people to the wrong logs.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import version
from typing import Any

import pytest
from faulty_server import (
    Behaviour,
    FaultyServer,
    Line,
    Received,
    answer,
    closed,
    head,
    reset,
    stall_before_head,
)
from net_tools import SOME_ID, assert_clean, close, io_of
from packaging.version import Version
from tls_tools import CA, server_context

from pytest_hydrasmoke import TransportError
from pytest_hydrasmoke._transport.protocol import Request

pytestmark = pytest.mark.anyio

ONE = Request("status", "GET", f"/internal/v1/smoke/instances/{SOME_ID}")
STATUS = answer({"id": SOME_ID, "status": "running"})
PATIENT, BRIEF, SHAKING_HANDS = 20.0, 0.1, 0.4
ANYIO_KEEPS_CAUSES = Version(version("anyio")) >= Version("4.13")


class World:
    """Servers of one test, and its environment."""

    def __init__(self, stack: ExitStack, environment: pytest.MonkeyPatch) -> None:
        self._stack = stack
        self.environment = environment
        self.servers: list[FaultyServer] = []

    def serve(self, behave: Behaviour, **more: Any) -> FaultyServer:
        self.servers.append(self._stack.enter_context(FaultyServer(behave, **more)))
        return self.servers[-1]

    def listen(self, *, accepts: bool = True) -> int:
        """Listen without a word; gives the port. What is not accepted gets no connection."""
        listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = int(listener.getsockname()[1])
        if not accepts:
            for _ in range(4):
                filler = self._stack.enter_context(socket.socket())
                filler.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    filler.connect(("127.0.0.1", port))
        return port

    def hang_up(self, words: bytes = b"") -> int:
        """Close every connection, maybe after some words; gives the port."""
        listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    conn, _ = listener.accept()
                    conn.recv(4096)
                    conn.sendall(words)
                    conn.close()

        threading.Thread(target=serve, daemon=True).start()
        self._stack.callback(lambda: listener.shutdown(socket.SHUT_RDWR))
        return int(listener.getsockname()[1])

    def turn_away(self, version: ssl.TLSVersion) -> str:
        """Refuse clients without a certificate, and stay until they have heard it."""
        context = server_context(asks_clients=True)
        context.minimum_version = context.maximum_version = version
        listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve() -> None:
            raw, _ = listener.accept()
            with context.wrap_socket(raw, True, do_handshake_on_connect=False) as conn:
                with contextlib.suppress(ssl.SSLError):
                    conn.do_handshake()
                with contextlib.suppress(OSError):
                    while socket.socket.recv(conn, 4096):
                        pass

        threading.Thread(target=serve, daemon=True).start()
        return f"https://127.0.0.1:{listener.getsockname()[1]}"

    def through(self, proxy: str) -> None:
        self.environment.setenv("https_proxy", proxy)
        self.environment.setenv("http_proxy", proxy)

    def no_names(self) -> None:
        def ask(host: str, *more: Any, **others: Any) -> Any:
            if host == "router.example":
                raise socket.gaierror(-2, "Name or service not known")
            return known(host, *more, **others)

        known = socket.getaddrinfo
        self.environment.setattr(socket, "getaddrinfo", ask)

    def __call__(self, behave: Behaviour = STATUS, **more: Any) -> str:
        return self.serve(behave, **more).url

    def over_tls(self, behave: Behaviour = STATUS) -> str:
        return self.serve(behave, tls=server_context()).url


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with ExitStack() as stack:
        yield World(stack, monkeypatch)


def tunnel_to(port: int) -> Behaviour:
    def tunnel(line: Line, request: Received) -> None:
        line.send(head(200))
        line.relay("127.0.0.1", port)

    return tunnel


def proxied(world: World, behave: Behaviour, url: str = "https://router.example") -> str:
    proxy = world.serve(behave)
    world.through(proxy.url.replace("://", "://me:made-up-secret@"))
    return url


def no_name(world: World) -> str:
    world.no_names()
    return "https://router.example"


def no_proxy_there(world: World) -> str:
    world.through(world(refusing=True))
    return "https://router.example"


def no_name_of_proxy(world: World) -> str:
    world.no_names()
    world.through("http://router.example:3128")
    return "https://127.0.0.1:9"


def through_a_tunnel(behave: Behaviour) -> Callable[[World], str]:
    def make(world: World) -> str:
        server = world.serve(behave, tls=server_context())
        return proxied(world, tunnel_to(server.port), server.url)

    return make


def stalled_in_a_tunnel(world: World) -> str:
    port = world.listen()
    return proxied(world, tunnel_to(port), f"https://127.0.0.1:{port}")


@dataclass(frozen=True)
class Case:
    """A failure: where it is met, and what is to be said of it."""

    url: Callable[[World], str]
    reached: bool
    words: str
    seconds: float = PATIENT
    late: bool = False
    permanent: bool = False
    client_ca: bool = True
    advice: str = ""


CONNECTION = "no connection to {url}"
CASES: dict[str, Case] = {
    "no such name": Case(no_name, False, CONNECTION + " ([Errno -2] Name or service not known)"),
    "refused": Case(
        lambda it: it(refusing=True), False, CONNECTION + " ([Errno *] Connection refused)"
    ),
    "no connection": Case(
        lambda it: f"http://127.0.0.1:{it.listen(accepts=False)}",
        False,
        CONNECTION + " in time",
        BRIEF,
        late=True,
    ),
    "no deadline left": Case(
        lambda it: it(), False, CONNECTION + " in time", seconds=-1, late=True
    ),
    "handshake that stalls": Case(
        lambda it: f"https://127.0.0.1:{it.listen()}",
        False,
        CONNECTION + " in time: its TLS handshake did not end",
        BRIEF,
        late=True,
    ),
    "handshake that breaks off": Case(
        lambda it: f"https://127.0.0.1:{it.hang_up()}", False, CONNECTION + " (*)"
    ),
    "no TLS there": Case(
        lambda it: f"https://127.0.0.1:{it.hang_up(b'HTTP/1.1 400 No' + b' ' * 99)}",
        False,
        CONNECTION + " (*)",
        permanent=True,
        advice="does not speak https",
    ),
    "certificate of nobody": Case(
        lambda it: it.over_tls(),
        False,
        CONNECTION + " (certificate verify failed: *unable to get local issuer certificate)",
        permanent=True,
        client_ca=False,
    ),
    "certificate of another": Case(
        lambda it: it.over_tls().replace("127.0.0.1", "localhost"),
        False,
        CONNECTION + " (certificate verify failed: *ismatch, *localhost*)",
        permanent=True,
    ),
    "certificate wanted": Case(
        lambda it: it.turn_away(ssl.TLSVersion.TLSv1_3),
        True,
        "no answer from {url} (it refused this client: certificate required)",
        permanent=True,
    ),
    "certificate wanted of old": Case(
        lambda it: it.turn_away(ssl.TLSVersion.TLSv1_2),
        False,
        CONNECTION + " (it refused this client: handshake failure)",
        permanent=True,
    ),
    "no answer": Case(
        lambda it: it(stall_before_head),
        True,
        "no answer in time",
        BRIEF,
        late=True,
        advice="see what else answers at http://127.0.0.1:",
    ),
    "reset": Case(lambda it: it(reset), True, "the answer was lost (*Connection reset by peer)"),
    "closed": Case(lambda it: it(closed), True, "the answer was lost (*)"),
    "no proxy": Case(
        no_proxy_there, False, "the proxy {proxy} can't be used ([Errno *] Connection refused)"
    ),
    "no name of a proxy": Case(
        no_name_of_proxy,
        False,
        "the proxy router.example:3128 can't be used ([Errno -2] Name or service not known)",
    ),
    **{
        f"proxy says {status}": Case(
            lambda it, status=status: proxied(it, answer(b"", status)),  # type: ignore[misc]
            False,
            f"the proxy {{proxy}} refused to connect to the router ({status} *)",
            permanent=permanent,
            advice=advice,
        )
        for status, permanent, advice in (
            (400, True, "check the environment's proxy"),
            (403, True, "allow requests to router.example there"),
            (407, True, "put a user and a password that it accepts into its URL"),
            (408, False, "check the environment's proxy"),
            (429, False, "check the environment's proxy"),
            (503, False, "check the environment's proxy"),
        )
    },
    "silent proxy": Case(
        lambda it: proxied(it, stall_before_head),
        False,
        "the proxy {proxy} did not answer in time",
        BRIEF,
        late=True,
    ),
    "proxy that closes": Case(
        lambda it: proxied(it, closed), False, "the proxy {proxy} can't be used (*)"
    ),
    "no proxy for plain http": Case(
        lambda it: no_proxy_there(it).replace("https", "http"),
        False,
        "the proxy {proxy} can't be used ([Errno *] Connection refused)",
    ),
    "silent proxy of plain http": Case(
        lambda it: proxied(it, stall_before_head, "http://router.example"),
        True,
        "no answer in time",
        BRIEF,
        late=True,
    ),
    "certificate through a tunnel": Case(
        lambda it: through_a_tunnel(STATUS)(it).replace("127.0.0.1", "localhost"),
        False,
        CONNECTION + " (certificate verify failed: *)",
        permanent=True,
    ),
    "no answer through a tunnel": Case(
        through_a_tunnel(stall_before_head), True, "no answer in time", SHAKING_HANDS, late=True
    ),
    "handshake that stalls in a tunnel": Case(
        stalled_in_a_tunnel,
        False,
        CONNECTION + " in time: its TLS handshake did not end",
        SHAKING_HANDS,
        late=True,
    ),
    "lost in a tunnel": Case(through_a_tunnel(closed), True, "the answer was lost (*)"),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_was_reached_is_told_alike(kind: str, case: str, world: World) -> None:
    it = CASES[case]
    url = it.url(world)
    io = io_of(kind, url, trust_env=True, ca_file=CA if it.client_ca else None)
    try:
        with pytest.raises(TransportError) as caught:
            await io.send(ONE, io.now() + it.seconds)
    finally:
        await close(io)
    error = caught.value
    proxy = world.servers[-1].url.partition("://")[2] if world.servers else ""
    words = it.words.format(url=url, proxy=proxy)
    if kind == "asyncio" and case == "reset" and not ANYIO_KEEPS_CAUSES:
        words = "the answer was lost (ReadError)"
    pattern = "*".join(part.replace("[", "[[]") for part in words.split("*"))
    assert fnmatchcase(error.message, pattern), error.message
    assert it.advice in (error.next_step or "")
    assert (error.reached, error.late, error.permanent) == (it.reached, it.late, it.permanent)
    arrived = ["GET" in {one.method for one in server.requests} for server in world.servers]
    assert error.reached or not any(arrived)
    assert "made-up-secret" not in str(error)
    assert_clean(error)
