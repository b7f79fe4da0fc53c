"""Connections: the environment's proxies, reuse, certificates, and why there is none."""

from __future__ import annotations

import base64
import itertools
import math
import os
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpcore
import httpx
import net_tools as net
import pytest
import respx
import transport_tools as tools
from faulty_server import FaultyServer, Line, Received
from tls_tools import CA, CLIENT, SERVER, TLS, over_tls, server_context

from pytest_hydrasmoke import ConfigError, SmokeClient, TransportError, VirtualClock
from pytest_hydrasmoke._transport.blocking import KEEP_IDLE, SyncIO
from pytest_hydrasmoke._transport.certificates import client_problem
from pytest_hydrasmoke._transport.deadlines import DeadlineStream
from pytest_hydrasmoke._transport.failures import fault
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke._transport.steps import Steps
from pytest_hydrasmoke.fake import FakeRouter

pytestmark = pytest.mark.anyio

ROUTER = "https://router.example"
SOME_ID = net.SOME_ID


def failing(*errors: Exception) -> Exception:
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[0]


def test_what_went_wrong_is_said_by_the_first_error_that_says_anything() -> None:
    link = net.link_to(ROUTER)
    for error, words in (
        (
            failing(
                httpx.ReadError(""), httpcore.ReadError(), OSError("the line is cut"), OSError()
            ),
            "the line is cut",
        ),
        (failing(httpx.ReadError("mine"), OSError("theirs")), "mine"),
        (failing(httpx.ReadError(""), httpcore.ReadError()), "ReadError"),
    ):
        assert fault(error, link).message == f"the answer was lost ({words})"
    context = httpx.ConnectError("")
    context.__context__ = OSError("no route")
    assert fault(context, link, Steps()).message == f"no connection to {ROUTER} (no route)"
    assert fault(httpx.ReadTimeout(""), link).late
    # Of several addresses it is the first one's.
    refused = [ConnectionRefusedError(111, "Connect call failed"), OSError(113, "No route")]
    all_failed = "All connection attempts failed"
    group = ExceptionGroup("multiple connection attempts failed", refused)
    failed = failing(httpx.ConnectError(all_failed), OSError(all_failed), group)
    message = fault(failed, link, Steps()).message
    assert message == f"no connection to {ROUTER} ([Errno 111] {os.strerror(111)})"


def test_a_proxy_s_refusal_is_told_with_what_to_do_and_whether_it_is_for_good() -> None:
    for words, permanent, advice in (
        ("400 Bad Request", True, "check the environment's proxy (HTTPS_PROXY, "),
        ("403 Forbidden", True, "allow requests to router.example there"),
        ("407 Proxy", True, "put a user and a password that it accepts into its URL"),
        ("408 Timeout", False, "check the environment's proxy (HTTPS_PROXY, "),
        ("425 Early", False, "check the environment's proxy (HTTPS_PROXY, "),
        ("429 Too Many", False, "check the environment's proxy (HTTPS_PROXY, "),
        ("499 Else", True, "check the environment's proxy (HTTPS_PROXY, "),
        ("500 Broken", False, "check the environment's proxy (HTTPS_PROXY, "),
        ("No", False, "check the environment's proxy (HTTPS_PROXY, "),
    ):
        steps = Steps("http://me:made-up-secret@proxy.example:3128")
        error = fault(httpcore.ProxyError(words), net.link_to(ROUTER), steps)
        name = "the proxy proxy.example:3128"
        assert error.message == f"{name} refused to connect to the router ({words})"
        assert (words, error.permanent, error.reached) == (words, permanent, False)
        assert str(error.next_step).startswith(advice)


# Proxies


async def test_the_environments_proxy_is_used_if_it_is_trusted(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools.without_proxies(monkeypatch)
    with FaultyServer(tools.STATUS) as proxy, FaultyServer(tools.STATUS) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url.replace("://", "://me:secret%21@"))
        assert (await tools.send(kind, server.url)).status == 200
        assert (len(server.requests), proxy.requests) == (1, [])
        assert (await tools.send(kind, server.url, trust_env=True)).status == 200
        assert len(server.requests) == 1
        [request] = proxy.requests
        assert request.target == server.url + tools.PATH
        user = base64.b64encode(b"me:secret!").decode()
        assert request.headers["proxy-authorization"] == f"Basic {user}"
    # A tunnel never sees the token.
    with (
        FaultyServer(tools.STATUS, tls=server_context()) as server,
        FaultyServer(tools.tunnel_to(server.port)) as proxy,
    ):
        monkeypatch.setenv("https_proxy", proxy.url)
        assert (await tools.send(kind, server.url, trust_env=True, ca_file=CA)).status == 200
        [request] = proxy.requests
        assert (request.method, request.target) == ("CONNECT", f"127.0.0.1:{server.port}")
        assert "authorization" not in request.headers
        assert len(server.requests) == 1


# Reuse


def test_blocking_calls_in_a_row_share_a_connection_and_no_deadline() -> None:
    with FaultyServer(tools.STATUS) as server:
        io = SyncIO(net.link_to(server.url))
        for _ in range(3):
            assert drive(io.send(tools.ONE, io.now() + 20)).status == 200
            [stream] = io._backend.opened
            assert isinstance(stream, DeadlineStream)
            assert stream._deadline == math.inf
        io.close()
        assert len(server._conns) == 1
        assert KEEP_IDLE < 5

    def once(line: Line, request: Received) -> None:
        tools.STATUS(line, request)
        line.close()

    # One that the server has closed is not used.
    with FaultyServer(once) as server, SmokeClient(server.url, token=net.TOKEN) as client:
        for number in range(3):
            client.status(SOME_ID)
            server._threads[number].join(10)
        assert len(server.requests) == 3


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_async_calls_leave_no_connection_behind(kind: str) -> None:
    with FaultyServer(tools.STATUS) as server:
        async with net.calls_of(kind, server.url) as calls:
            for _ in range(3):
                await calls.status(SOME_ID)
                assert calls.io._pool.connections == []  # type: ignore[attr-defined]
            await calls.io.sleep(-1)
        assert len(server._conns) == 3


async def test_what_is_closed_twice_or_in_the_middle_can_be_used_again(kind: str) -> None:
    with FaultyServer(tools.STATUS) as server:
        client: Any = net.client_of(kind, server.url)
        close = client.close if kind == "sync" else client.aclose
        for _ in range(2):
            await net.result(client.status(SOME_ID))
            for _ in range(2):
                await net.result(close())
    with FakeRouter(net.AT_ONCE, token=net.TOKEN.reveal()) as fake:
        async with net.calls_of(kind, fake.url) as calls:
            turn = net.turn_of(calls, str((await calls.provision(net.SPEC, "key")).instance_id))
            await turn.open()
            await turn.close()
            await turn.close()
            assert (await calls.poll("key")).found


# Client certificates

CERT, KEY = CLIENT["client_cert"], CLIENT["client_key"]
NO_BASE64 = "-----BEGIN {0}-----\nAAAA\n-----END {0}-----\n"
NO_CERT = "{cert} has no certificate in it: give the client's, as PEM"
NO_KEY = "{key} has no private key in it: give it, as PEM"
PAIRS: dict[str, tuple[Any, Any, str | None]] = {
    "right": (CERT, KEY, None),
    "both in one file": (lambda: CERT.read_text() + KEY.read_text(), None, None),
    "no file": (TLS / "none.pem", KEY, "there is no file {cert}"),
    "a folder": (CERT, TLS, "there is no file {key}"),
    "no PEM": (lambda: "hello", KEY, NO_CERT),
    "the key for a certificate": (KEY, KEY, NO_CERT),
    "damaged": (lambda: NO_BASE64.format("CERTIFICATE"), KEY, NO_CERT),
    "no key": (
        CERT,
        None,
        "{cert} has no private key in it: give client_key, the file that has it",
    ),
    "the certificate for a key": (CERT, CA, NO_KEY),
    "a damaged key": (CERT, lambda: NO_BASE64.format("PRIVATE KEY"), NO_KEY),
    "another's key": (CERT, SERVER, "the key in {key} is not that of the certificate in {cert}"),
    "a key with a password": (
        CERT,
        TLS / "client-key-encrypted.pem",
        "the key in {key} is encrypted, and its password can't be entered: give one * only*",
    ),
    "too weak": (
        TLS / "client-weak.pem",
        None,
        "the certificate in {cert} can't be used: ee key too small",
    ),
}


def test_what_is_wrong_with_a_client_certificate_is_told(tmp_path: Path) -> None:
    def file(given: Path | Callable[[], str] | None, name: str) -> Path | None:
        if given is None or isinstance(given, Path):
            return given
        (tmp_path / name).write_text(given())
        return tmp_path / name

    for pair, (*given, problem) in PAIRS.items():
        cert, key = file(given[0], "cert.pem"), file(given[1], "key.pem")
        assert cert is not None
        told = client_problem(cert, key)
        expected = None if problem is None else problem.format(cert=cert, key=key)
        assert fnmatch(str(told), str(expected)), (pair, told)
    if sys.platform == "linux":  # A file whose first bytes nobody can read.
        told = client_problem(CERT, Path("/proc/self/mem"))
        assert str(told).startswith("/proc/self/mem can't be read: ")


async def test_a_client_of_ones_own_takes_what_the_settings_take(kind: str) -> None:
    with FakeRouter(net.AT_ONCE) as fake, over_tls(fake) as url:
        given = {name: str(path) for name, path in CLIENT.items()}
        client: Any = net.client_of(kind, url, token=fake.token, ca_file=str(CA), **given)
        async with net.within(client):
            assert (await net.result(client.provision(net.SPEC, "key"))).idempotency_key == "key"
    assert len(fake.instances) == 1
    # A client of somebody else has their token, and the same way.
    with FaultyServer(tools.STATUS, tls=server_context(asks_clients=True)) as server:
        client = net.client_of(kind, server.url, ca_file=CA, **CLIENT)
        async with net.within(client):
            for token in ("another-token", None):
                async with net.within(client.with_token(token)) as other:
                    await net.result(other.status(SOME_ID))
        told = [request.headers.get("authorization") for request in server.requests]
    assert told == ["Bearer another-token", None]


def test_a_client_of_ones_own_refuses_what_can_not_be_used() -> None:
    unheld = (
        "client_key is without client_cert\n  next step: give client_cert, the file of the cert"
    )
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"ca_file": "none.pem"}, "ca_file: there is no file "),
        ({"ca_file": __file__}, "ca_file: .* has no certificate in it"),
        ({"client_cert": str(CERT)}, "client_cert: .* has no private key in it: give client_key"),
        ({"client_key": KEY}, unheld),
    ]
    for kind, (given, words) in itertools.product(("sync", "asyncio"), wrong):
        with pytest.raises(ConfigError, match=words):
            net.client_of(kind, ROUTER, **given)


# No connection at all: respx plays the router


@pytest.mark.parametrize("clock", [None, VirtualClock()], ids=["", "virtual"])
async def test_respx_can_play_the_router_and_lose_an_answer(
    kind: str, clock: VirtualClock | None
) -> None:
    turn = httpx.Response(
        200,
        content=b"data: hello\n\ndata: [DONE]\n\n",
        headers={"content-type": "text/event-stream"},
    )
    # Put in below httpx: above it respx reads an answer before we can.
    with respx.mock(base_url=ROUTER, using="httpcore") as router:
        router.get(tools.PATH).respond(json={"id": SOME_ID, "hostname": None, "status": "running"})
        router.delete(tools.PATH).respond(410)
        chat = router.post(f"{tools.PATH}/chat").mock(side_effect=[turn, httpx.ReadError])
        async with net.within(net.client_of(kind, ROUTER, clock=clock)) as client:
            assert (await net.result(client.status(SOME_ID))).status == "running"
            assert (await net.result(client.delete(SOME_ID))).status == "deleted"
            # Nobody moves time at the other end of this stream.
            async with net.within(client.stream_chat(SOME_ID, "hello")) as stream:
                assert [event.data for event in await net.all_of(stream)] == ["hello", "[DONE]"]
            with pytest.raises(TransportError):
                async with net.within(client.stream_chat(SOME_ID, "hello")):
                    pytest.fail("the stream began")
        assert clock is None or clock.now() == 0
        assert chat.call_count == 2
        sent = router.calls[0].request.headers
    assert sent["authorization"] == f"Bearer {net.TOKEN.reveal()}"
