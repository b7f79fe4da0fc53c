"""Connections: TLS, proxies, reuse."""

from __future__ import annotations

import base64
import itertools
import os
import time
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
    stall_in_body,
)
from net_tools import (
    AT_ONCE,
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
from tls_tools import CA, server_context

from pytest_hydrasmoke import ConfigError, SmokeClient, TransportError
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import KEEP_IDLE, SyncIO
from pytest_hydrasmoke._transport.httpx_adapter import fault
from pytest_hydrasmoke._transport.protocol import Request, drive
from pytest_hydrasmoke._transport.steps import Steps
from pytest_hydrasmoke.fake import FakeRouter

pytestmark = pytest.mark.anyio


STATUS = answer({"id": SOME_ID, "status": "running"})


PATH = f"/internal/v1/smoke/instances/{SOME_ID}"


ONE = Request("status", "GET", PATH)


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


async def test_a_damaged_record_is_an_error_of_transport(kind: str) -> None:
    def damage(line: Line, request: Received) -> None:
        os.write(line.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32)
        line.hang()

    with FaultyServer(damage, tls=server_context()) as server:
        async with calls_of(kind, server.url, ca_file=CA) as calls:
            with pytest.raises(TransportError) as caught:
                await calls.status(SOME_ID, deadline=calls.io.now() + 0.4)
    assert caught.value.reached
    assert_clean(caught.value)


async def test_a_stream_over_tls_keeps_its_deadline(kind: str) -> None:
    with FaultyServer(stall_in_body, tls=server_context()) as server:
        async with calls_of(kind, server.url, ca_file=CA) as calls:
            with pytest.raises(TimeoutError) as caught:
                await whole_turn(calls, 0.3)
    assert_clean(caught.value)


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


async def test_a_tunnel_through_a_proxy_never_sees_the_token(
    kind: str, environment: pytest.MonkeyPatch
) -> None:
    def tunnel(line: Line, request: Received) -> None:
        assert request.method == "CONNECT"
        line.send(head(200))
        line.relay("127.0.0.1", server.port)

    with FaultyServer(STATUS, tls=server_context()) as server, FaultyServer(tunnel) as proxy:
        environment.setenv("https_proxy", proxy.url)
        async with calls_of(kind, server.url, trust_env=True, ca_file=CA) as calls:
            assert (await calls.status(SOME_ID)).status == "running"
        [request] = proxy.requests
        assert request.target == f"127.0.0.1:{server.port}"
        assert "authorization" not in request.headers
        assert len(server.requests) == 1


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


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_async_calls_leave_no_connection_behind(kind: str) -> None:
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


async def test_what_sleeps_less_than_nothing_does_not_sleep(kind: str) -> None:
    async with calls_of(kind, "http://127.0.0.1:1") as calls:
        await calls.io.sleep(-1)
        await calls.io.sleep(0.001)


async def test_a_link_without_a_token_sends_none(kind: str) -> None:
    with FaultyServer(STATUS) as server:
        link = link_to(server.url)
        bare = type(link)(link.base_url, None)
        io = SyncIO(bare) if kind == "sync" else AsyncIO(bare)
        await Calls(io).status(SOME_ID)
        if isinstance(io, SyncIO):
            io.close()
        assert "authorization" not in server.requests[0].headers


async def test_a_url_that_is_none_is_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match="the router's URL"):
        client_of(kind, "https://router.example/?x=1")


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
