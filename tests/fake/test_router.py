"""`FakeRouter` as an object: its life, its records, its threads, and what it leaves behind."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from fake_tools import PREFIX, SPEC, Caller, HandClock

from pytest_hydrasmoke import fake
from pytest_hydrasmoke.fake import FakeRouter, Instance, LlmEvent, RequestRecord, Scenario
from pytest_hydrasmoke.fake.server import Server

Calling = Callable[..., Caller]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "hydrasmoke" in thread.name]


def refused(url: str) -> bool:
    try:
        httpx.get(url, trust_env=False)
    except httpx.ConnectError:
        return True
    return False


def test_enter_leave_enter_again() -> None:
    router = FakeRouter()
    for _ in range(2):
        with router as entered:
            assert entered is router
            assert router.url.startswith("http://127.0.0.1:")
            caller = Caller(router)
            with caller.http:
                assert caller.poll().status_code == 200
            url = router.url
            assert repr(router) == f"<FakeRouter {url}>"
            assert threads() == ["hydrasmoke-fake"]
        assert threads() == []
        assert refused(url)
        assert repr(router) == "<FakeRouter not serving>"
    assert [record.route for record in router.requests] == ["poll", "poll"]


def test_there_is_a_url_inside_the_with_only() -> None:
    router = FakeRouter()
    with pytest.raises(RuntimeError, match="only inside its `with`"):
        print(router.url)
    router.__exit__(None, None, None)
    with router, pytest.raises(RuntimeError, match="used already"):
        router.__enter__()


def test_a_port_of_choice_has_no_path_and_is_free_again() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        router = FakeRouter(port=port)
        with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 is taken: choose another"):
            router.__enter__()
        assert repr(router) == "<FakeRouter not serving>"
    for _ in range(2):
        # Beside those on the shared server, which goes on when this one ends.
        with FakeRouter() as other:
            with router, Caller(router).http as http:
                assert router.url == f"http://127.0.0.1:{port}"
                assert http.get("/instances/by-key/k").status_code == 200
                with pytest.raises(OSError, match="is taken"):
                    FakeRouter(port=port).__enter__()
            with Caller(other).http as http:
                assert http.get("/instances/by-key/k").status_code == 200
        assert threads() == []
        assert refused(f"http://127.0.0.1:{port}")


def test_an_address_of_no_machine_is_not_taken() -> None:
    with pytest.raises(OSError) as caught:
        Server("192.0.2.1")
    assert caught.value.errno == errno.EADDRNOTAVAIL
    assert "is taken" not in str(caught.value)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none(port: int) -> None:
    with pytest.raises(ValueError, match=f"there is no port {port}: give 1 to 65535, or 0"):
        FakeRouter(port=port)


@pytest.mark.anyio
async def test_enter_and_leave_in_a_coroutine(anyio_backend_name: str) -> None:
    async with FakeRouter() as router:
        http = httpx.AsyncClient(base_url=router.url, trust_env=False, verify=False)
        async with http:
            assert (await http.get("/openapi.json")).status_code == 200
        url = router.url
    assert refused(url)
    assert threads() == []


@pytest.mark.anyio
async def test_a_loop_goes_on_while_its_router_ends(
    anyio_backend_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its end waits for something that only this loop can do.
    done, close = threading.Event(), Server.close

    def waited(server: Server) -> None:
        assert done.wait(30)
        close(server)

    monkeypatch.setattr(Server, "close", waited)
    async with anyio.create_task_group() as group:
        router = FakeRouter()
        await router.__aenter__()
        group.start_soon(router.__aexit__, None, None, None)
        await anyio.lowlevel.checkpoint()
        done.set()
    assert threads() == []


@pytest.mark.anyio
async def test_a_task_that_is_cancelled_leaves_its_router(anyio_backend_name: str) -> None:
    with anyio.CancelScope() as scope:
        async with FakeRouter() as router:
            url = router.url
            scope.cancel()
            await anyio.sleep_forever()
    assert refused(url)
    assert threads() == []


def test_leaving_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with httpx.Client(trust_env=False, verify=False) as http, FakeRouter() as router:
        http.get(router.url)
        # The client's connection is idle, not closed, as the router is left.
    gc.collect()
    assert threads() == []
    # What other loggers say is theirs: httpx tells of each request.
    assert [record.name for record in caplog.records if record.name != "httpx"] == []


def test_worlds_share_a_server_and_nothing_else(clock: HandClock) -> None:
    with FakeRouter(clock=clock) as one, FakeRouter(clock=clock) as two:
        assert threads() == ["hydrasmoke-fake"]
        assert one.url != two.url
        assert one.url.rpartition("/")[0] == two.url.rpartition("/")[0]
        assert one.token != two.token
        callers = Caller(one), Caller(two)
        with callers[0].http, callers[1].http:
            for caller in callers:
                instance_id = caller.ready(clock)
                assert caller.status(instance_id).status_code == 200
            assert callers[0].status(instance_id).status_code == 404
        wrong = Caller(one, token=two.token)
        with wrong.http:
            assert wrong.poll().status_code == 401


def test_a_world_that_has_gone_is_no_router_that_answers_404(clock: HandClock) -> None:
    with FakeRouter():
        with FakeRouter(clock=clock) as router:
            caller = Caller(router)
        with caller.http, pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            caller.poll()


def test_worlds_come_and_go_beside_each_other() -> None:
    def live(number: int) -> int:
        with FakeRouter() as router:
            caller = Caller(router)
            with caller.http:
                answers = [caller.provision(f"{number}-{i}") for i in range(3)]
                return sum(answer.status_code == 200 for answer in answers)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(live, range(16))) == [3] * 16
    assert threads() == []


def test_one_router_from_many_threads(calling: Calling, clock: HandClock) -> None:
    router = calling(llm_events_per_turn=1).router

    def work(number: int) -> None:
        caller = Caller(router)
        with caller.http:
            router.fail("delete", status=500)
            caller.provision(f"key-{number % 10}")
            assert caller.poll(f"key-{number % 10}").status_code == 200
            assert len(router.instances) <= 10

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    assert len(router.instances) == 10
    assert len(router.requests) == 80
    assert {record.status for record in router.requests} == {200}


def test_records(calling: Calling, clock: HandClock) -> None:
    caller = calling()
    router = caller.router
    instance_id = caller.ready(clock)
    caller.chat(instance_id, "Grüße")
    caller.llm_events(instance_id, 5)
    caller.http.post("/provision", content=b"{", headers={"content-type": "application/json"})
    caller.http.post("/provision", content=b'{"a": NaN}')
    caller.http.put("/provision")
    caller.http.get("/elsewhere")
    first, chat, counted, broken, nan, wrong, unknown = router.requests
    assert first == RequestRecord(
        method="POST",
        path=f"{PREFIX}/provision",
        query="",
        route="provision",
        status=200,
        body={"idempotency_key": "key-0", **SPEC},
        at=1000.0,
        headers={"user-agent": first.headers["user-agent"]},
    )
    assert first.headers["user-agent"].startswith("python-httpx/")
    assert (chat.route, chat.status, chat.body, chat.at) == (
        "chat",
        200,
        {"message": "Grüße"},
        1060.0,
    )
    assert chat.path == f"{PREFIX}/instances/{instance_id}/chat"
    assert (counted.query, counted.body) == ("window_seconds=5", None)
    assert (broken.status, broken.body) == (422, None)
    assert (nan.status, nan.body) == (422, {"a": None})
    assert (wrong.route, wrong.status) == (None, 405)
    assert (unknown.route, unknown.status, unknown.path) == (None, 404, f"{PREFIX}/elsewhere")
    assert isinstance(router.instances[0], Instance)
    assert isinstance(router.llm_events[0], LlmEvent)
    router.reset()
    assert (router.instances, router.requests, router.llm_events) == ((), (), ())
    assert caller.status(instance_id).status_code == 404


def test_a_slash_too_many_redirects_under_the_prefix(calling: Calling) -> None:
    caller = calling()
    answer = caller.http.get("/instances/by-key/k/?a=b")
    base = caller.router.url + PREFIX
    assert answer.status_code == 307
    assert answer.headers["location"] == f"{base}/instances/by-key/k?a=b"


def test_token_scenario_and_clock_are_what_was_given(clock: HandClock) -> None:
    scenario = Scenario(reply="Yes")
    router = FakeRouter(scenario, "a-token", clock)
    assert (router.scenario, router.token, router.clock) == (scenario, "a-token", clock)
    assert FakeRouter().scenario == Scenario()
    assert FakeRouter().token != FakeRouter().token
    assert FakeRouter(token="!~").token == "!~"
    for token in ("", "two words", "ümlaut", "line\n"):
        with pytest.raises(ValueError, match="printable ASCII"):
            FakeRouter(token=token)


def test_a_client_that_breaks_the_protocol_disturbs_nobody(calling: Calling) -> None:
    caller = calling()
    host, port = caller.router.url.removeprefix("http://").split("/")[0].split(":")
    half = f"POST {PREFIX}/provision HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"
    prefix = "/" + caller.router.url.rpartition("/")[2]
    for said in (b"", b"no http\r\n\r\n", half.replace(PREFIX, prefix + PREFIX).encode()):
        with contextlib.closing(socket.create_connection((host, int(port)))) as connection:
            connection.sendall(said)
    assert caller.poll().status_code == 200


def test_the_end_of_a_server_closes_connections_without_a_request_too() -> None:
    server = Server()
    host, port = server.url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            for _ in range(20)
        ]
        server.close()
        for connection in connections:
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
    assert threads() == []


def test_an_address_in_use() -> None:
    with (
        contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken,
        pytest.raises(OSError),
    ):
        Server("127.0.0.1", taken.getsockname()[1])
    assert threads() == []


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_an_ipv6_address() -> None:
    try:
        server = Server("::1")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    assert server.url.startswith("http://[::1]:")
    server.close()


IMPORTS = """
import sys
SERVERS = {"starlette", "uvicorn", "pydantic", "anyio", "httpx"}
import pytest_hydrasmoke.fake
print(SERVERS & sys.modules.keys())
from pytest_hydrasmoke.fake import Scenario
print(SERVERS & sys.modules.keys())
from pytest_hydrasmoke.fake import *
ours = [it for it in sys.modules if it.startswith("pytest_hydrasmoke.")]
print([it for it in ours if not it.startswith("pytest_hydrasmoke.fake")])
"""


def test_importing_the_fake_loads_no_server_and_nothing_of_the_rest() -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", IMPORTS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("set()\n{'pydantic'}\n[]\n", "")


def test_public_names() -> None:
    assert fake.__all__ == [
        "Clock",
        "FakeRouter",
        "Instance",
        "LlmEvent",
        "RequestRecord",
        "Scenario",
        "serve",
    ]
    for name in fake.__all__:
        assert getattr(fake, name).__name__ == name
    missing: Any = "Router"
    with pytest.raises(AttributeError, match="has no attribute 'Router'"):
        getattr(fake, missing)
