"""Whether a request may have arrived, and whose failure it was: the same by every way.

A wrong "not reached" could leak an instance; a wrong "reached" sends people to the wrong logs.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from importlib.metadata import version
from typing import Any

import faulty_server as faulty
import pytest
import transport_tools as tools
from net_tools import assert_clean, link_to
from packaging.version import Version
from tls_tools import CA, CLIENT, TLS, server_context

from pytest_hydrasmoke import TransportError
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.deadlines import DeadlineStream
from pytest_hydrasmoke._transport.protocol import Request, drive

pytestmark = pytest.mark.anyio


class Big(dict[str, str]):
    """More than any system takes for a server that does not read."""

    def __repr__(self) -> str:
        return "Big()"


BIG = Request("chat", "POST", "/", Big(message="x" * (8 << 20)))
ANYIO_KEEPS_CAUSES = Version(version("anyio")) >= Version("4.13")
ROUTER = "https://router.example"


class World:
    """Servers of one test, and its environment."""

    def __init__(self, stack: ExitStack, environment: pytest.MonkeyPatch) -> None:
        self._stack = stack
        self._environment = environment
        self.servers: list[faulty.FaultyServer] = []

    def serve(self, behave: faulty.Behaviour = tools.STATUS, **more: Any) -> str:
        server = faulty.FaultyServer(behave, **more)
        self.servers.append(self._stack.enter_context(server))
        return server.url

    def over_tls(self, behave: faulty.Behaviour = tools.STATUS) -> str:
        return self.serve(behave, tls=server_context())

    def at(self, scheme: str, manager: contextlib.AbstractContextManager[int]) -> str:
        return f"{scheme}://127.0.0.1:{self._stack.enter_context(manager)}"

    def peer(self, talk: Callable[[socket.socket], object]) -> int:
        """Talk with each that connects, and close; gives the port."""
        listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    conn, _ = listener.accept()
                    with conn:
                        talk(conn)

        threading.Thread(target=serve, daemon=True).start()
        self._stack.callback(lambda: listener.shutdown(socket.SHUT_RDWR))
        return int(listener.getsockname()[1])

    def hangs_up(self, words: bytes = b"") -> str:
        return f"https://127.0.0.1:{self.peer(lambda it: (it.recv(4096), it.sendall(words)))}"

    def cuts_off(self) -> str:
        def talk(conn: socket.socket) -> None:
            conn.recv(1000)
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        return f"http://127.0.0.1:{self.peer(talk)}"

    def turns_away(self, version: ssl.TLSVersion) -> str:
        """Refuse clients without a certificate, and stay until they have heard it."""
        context = server_context(asks_clients=True)
        context.minimum_version = context.maximum_version = version

        def talk(raw: socket.socket) -> None:
            with context.wrap_socket(raw, True, do_handshake_on_connect=False) as conn:
                with contextlib.suppress(ssl.SSLError):
                    conn.do_handshake()
                while socket.socket.recv(conn, 4096):
                    pass

        return f"https://127.0.0.1:{self.peer(talk)}"

    def names(self, *addresses: str, speaks: bool = True) -> str:
        server = tools.NameServer(self._environment, *addresses)
        if not speaks:
            server.speaks.clear()
            self._stack.callback(server.speaks.set)
        return ROUTER

    def through(self, proxy: str, url: str = ROUTER) -> str:
        for name in ("https_proxy", "http_proxy"):
            self._environment.setenv(name, proxy.replace("://", "://me:made-up-secret@"))
        return url

    def proxied(self, behave: faulty.Behaviour, url: str = ROUTER) -> str:
        return self.through(self.serve(behave), url)

    def tunnelled(self, behave: faulty.Behaviour) -> str:
        return self.tunnelled_to(self.over_tls(behave))

    def tunnelled_to(self, url: str) -> str:
        return self.proxied(tools.tunnel_to(int(url.rpartition(":")[2])), url)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    tools.without_proxies(monkeypatch)
    with ExitStack() as stack:
        yield World(stack, monkeypatch)


def damaged(line: faulty.Line, request: faulty.Received) -> None:
    """Send what is no record of TLS, below it."""
    os.write(line.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32)
    line.hang()


@dataclass(frozen=True)
class Case:
    """A failure: where it is met, and what is to be said of it."""

    url: Callable[[World], str]
    words: str
    advice: str = ""
    late_after: float | None = None
    permanent: bool = False
    request: Request = tools.ONE
    link: dict[str, Any] = field(default_factory=lambda: {"ca_file": CA})


late = partial(Case, late_after=0.4)
# The steps before need their time, too.
late_in_tunnel = partial(Case, late_after=1.5)
for_good = partial(Case, permanent=True)
CONNECTION = "no connection to {url}"
NAME = "[Errno -2] Name or service not known"
REFUSED = "[Errno *] Connection refused"
UNVERIFIED = CONNECTION + " (certificate verify failed: *"
HANDSHAKE = CONNECTION + " in time: its TLS handshake did not end"
TURNED_AWAY = "(it refused this client: "
PROXY = "the proxy {proxy} "
LOST = "the answer was lost (*"
NO_ANSWER = "no answer in time"
EXPIRED = {"ca_file": CA, **CLIENT, "client_cert": TLS / "client-expired.pem"}
STALL, TLS_1_3 = faulty.stall_before_head, ssl.TLSVersion.TLSv1_3

NOT_REACHED: dict[str, Case] = {
    "no such name": Case(lambda it: it.names(), f"{CONNECTION} ({NAME})"),
    "silent name server": late(
        lambda it: it.names(speaks=False),
        CONNECTION + " in time: the name router.example could not be resolved in the time left",
        "name servers",
    ),
    "refused": Case(lambda it: it.serve(refusing=True), f"{CONNECTION} ({REFUSED})"),
    "no connection": late(lambda it: it.at("http", tools.dropping()), CONNECTION + " in time"),
    "no deadline left": Case(lambda it: it.serve(), CONNECTION + " in time", late_after=-1),
    "handshake that stalls": late(
        lambda it: it.at("https", tools.silent()), HANDSHAKE, "it did not answer in TLS"
    ),
    "handshake that breaks off": Case(lambda it: it.hangs_up(), CONNECTION + " (*)"),
    "no TLS there": for_good(
        lambda it: it.hangs_up(b"HTTP/1.1 400 No" + b" " * 99),
        CONNECTION + " (*SSL*)",
        "does not speak https",
    ),
    "certificate of nobody": for_good(
        lambda it: it.over_tls(),
        UNVERIFIED + "unable to get local issuer certificate)",
        "set ca_file (HYDRA_SMOKE_CA_FILE)",
        link={},
    ),
    "certificate of another": for_good(
        lambda it: it.over_tls().replace("127.0.0.1", "localhost"),
        UNVERIFIED + "ismatch, *localhost*)",
        "check HYDRA_SMOKE_URL: the certificate there is for another name",
    ),
    "certificate wanted of old": for_good(
        lambda it: it.turns_away(ssl.TLSVersion.TLSv1_2),
        f"{CONNECTION} {TURNED_AWAY}handshake failure)",
    ),
    "no proxy": Case(
        lambda it: it.through(it.serve(refusing=True)), f"{PROXY}can't be used ({REFUSED})"
    ),
    "no proxy for plain http": Case(
        lambda it: it.through(it.serve(refusing=True), "http://router.example"),
        f"{PROXY}can't be used ({REFUSED})",
    ),
    "no name of a proxy": Case(
        lambda it: it.through(it.names().replace("https", "http") + ":1", "https://127.0.0.1:9"),
        f"the proxy router.example:1 can't be used ({NAME})",
    ),
    "proxy that wants a password": for_good(
        lambda it: it.proxied(faulty.answer(b"", 407)),
        PROXY + "refused to connect to the router (407 *)",
        "put a user and a password that it accepts into its URL",
    ),
    "silent proxy": late(
        lambda it: it.proxied(STALL), PROXY + "did not answer in time", "check the environment's"
    ),
    "proxy that closes": Case(lambda it: it.proxied(faulty.closed), PROXY + "can't be used (*)"),
    "certificate through a tunnel": for_good(
        lambda it: it.tunnelled(tools.STATUS).replace("127.0.0.1", "localhost"), UNVERIFIED + ")"
    ),
    "handshake that stalls in a tunnel": late_in_tunnel(
        lambda it: it.tunnelled_to(it.at("https", tools.silent())), HANDSHAKE
    ),
}
REACHED: dict[str, Case] = {
    "certificate wanted": for_good(
        lambda it: it.turns_away(TLS_1_3),
        "no answer from {url} " + f"{TURNED_AWAY}certificate required)",
        "set client_cert (HYDRA_SMOKE_CLIENT_CERT)",
    ),
    "certificate that has expired": for_good(
        lambda it: it.turns_away(TLS_1_3),
        "no answer from {url} " + f"{TURNED_AWAY}certificate expired)",
        link=EXPIRED,
    ),
    "request that nobody reads": Case(
        lambda it: it.at("http", tools.silent()),
        "the request was not sent whole in time",
        "it did not read the request",
        late_after=1.5,
        request=BIG,
    ),
    "request that is cut off": Case(
        lambda it: it.cuts_off(), "the request was not sent whole (*)", request=BIG
    ),
    "no answer": late(lambda it: it.serve(STALL), NO_ANSWER, "else answers at http://127.0.0.1:"),
    "silent proxy of plain http": late(
        lambda it: it.proxied(STALL, "http://router.example"), NO_ANSWER
    ),
    "no answer through a tunnel": late_in_tunnel(lambda it: it.tunnelled(STALL), NO_ANSWER),
    "reset": Case(lambda it: it.serve(faulty.reset), LOST + "Connection reset by peer)"),
    "closed": Case(lambda it: it.serve(faulty.closed), LOST + ")"),
    "damaged record": Case(lambda it: it.over_tls(damaged), LOST + ")"),
    "lost in a tunnel": Case(lambda it: it.tunnelled(faulty.closed), LOST + ")"),
}


@pytest.mark.parametrize("case", [*NOT_REACHED, *REACHED])
async def test_what_was_reached_is_told_alike(kind: str, case: str, world: World) -> None:
    it = NOT_REACHED.get(case) or REACHED[case]
    if (kind, case) == ("asyncio", "request that is cut off"):
        return  # It takes all of a request at once, and tells nothing of what became of it.
    url, seconds = it.url(world), it.late_after or 20.0
    with pytest.raises(TransportError) as caught:
        await tools.send(kind, url, seconds, request=it.request, trust_env=True, **it.link)
    error = caught.value
    proxy = world.servers[-1].url.partition("://")[2] if world.servers else ""
    words = it.words.format(url=url, proxy=proxy)
    if kind == "asyncio" and case == "reset" and not ANYIO_KEEPS_CAUSES:
        words = "the answer was lost (ReadError)"
    pattern = "*".join(part.replace("[", "[[]") for part in words.split("*"))
    assert fnmatchcase(error.message, pattern), error.message
    assert it.advice in (error.next_step or "")
    told = (error.reached, error.late, error.permanent)
    assert told == (case in REACHED, it.late_after is not None, it.permanent)
    arrived = ["GET" in {one.method for one in server.requests} for server in world.servers]
    assert error.reached or not any(arrived)
    assert "made-up-secret" not in str(error)
    assert_clean(error)


@pytest.mark.parametrize("late", [True, False])
def test_what_an_idle_connection_does_not_take_was_not_sent(
    late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty.FaultyServer(tools.STATUS) as server:
        io = SyncIO(link_to(server.url))
        assert drive(io.send(tools.ONE, io.now() + 20)).status == 200
        if not late:
            # Lost between the look whether it is still there and the write.
            monkeypatch.setattr(DeadlineStream, "get_extra_info", lambda stream, info: None)
            [stream] = io._backend.opened
            assert isinstance(stream, DeadlineStream)
            stream._socket.shutdown(socket.SHUT_RDWR)
        with pytest.raises(TransportError) as caught:
            drive(io.send(tools.ONE, io.now() + (-1 if late else 20)))
        io.close()
        assert len(server.requests) == 1
    words = f"the request to {server.url} was not sent in time" if late else "*Broken pipe*"
    assert fnmatchcase(caught.value.message, words)
    assert caught.value.message.startswith("no connection to ") is not late
    assert (caught.value.reached, caught.value.late) == (False, late)
