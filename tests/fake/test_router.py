"""`FakeRouter` as an object: its life, its records, its threads, and what it leaves behind."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import socket
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from fake_tools import LOST, PREFIX, SPEC, Caller, Calling, HandClock
from httpx_sse import EventSource

from pytest_hydrasmoke import fake
from pytest_hydrasmoke.fake import FakeInstance, FakeRouter, LlmEvent, RequestRecord, Scenario
from pytest_hydrasmoke.fake.server import Server


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "hydrasmoke" in thread.name]


def refused(url: str) -> bool:
    try:
        httpx.get(url, trust_env=False, verify=False)
    except httpx.ConnectError:
        return True
    return False


def test_enter_leave_enter_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    router = FakeRouter()
    with pytest.raises(RuntimeError, match="only inside its `with`"):
        print(router.url)
    router.__exit__(None, None, None)
    for _ in range(2):
        with router as entered:
            assert entered is router
            assert router.url.startswith("http://127.0.0.1:")
            caller = Caller(router)
            assert caller.ask("poll") == [200]
            url = router.url
            assert repr(router) == f"<FakeRouter {url}>"
            assert threads() == ["hydrasmoke-fake"]
            with pytest.raises(RuntimeError, match="used already"):
                router.__enter__()
        # The client's connection is idle, not closed, as the router is left.
        assert threads() == []
        assert refused(url)
        assert repr(router) == "<FakeRouter not serving>"
        caller.http.close()
    assert [record.route for record in router.requests] == ["poll", "poll"]
    gc.collect()
    # What other loggers say is theirs: httpx tells of each request.
    assert [record.name for record in caplog.records if record.name != "httpx"] == []


def test_a_port_of_choice_has_no_path_and_is_free_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        router = FakeRouter(port=port)
        words = f"port {port} of 127.0.0.1 is taken: choose another, or 0 for any that is free"
        with pytest.raises(OSError, match=words):
            router.__enter__()
        assert (repr(router), threads()) == ("<FakeRouter not serving>", [])
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


def test_addresses_of_a_server() -> None:
    with pytest.raises(OSError) as caught:
        Server("192.0.2.1")
    assert caught.value.errno == errno.EADDRNOTAVAIL
    assert "is taken" not in str(caught.value)
    try:
        server = Server("::1")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    assert server.url.startswith("http://[::1]:")
    server.close()


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
        assert await router.__aenter__() is router
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


def test_worlds_share_a_server_and_nothing_else(clock: HandClock) -> None:
    with FakeRouter(clock=clock) as one:
        with FakeRouter(clock=clock) as two:
            assert threads() == ["hydrasmoke-fake"]
            assert one.url != two.url
            assert one.url.rpartition("/")[0] == two.url.rpartition("/")[0]
            assert one.token != two.token
            callers = Caller(one), Caller(two), Caller(one, token=two.token)
            ids = [caller.ready(clock) for caller in callers[:2]]
            seen = [[caller.status(it).status_code for it in ids] for caller in callers]
            assert seen == [[200, 404], [404, 200], [401, 401]]
        # One that has gone is no router that answers 404.
        assert [caller.ask("poll") for caller in callers] == [[200], ["lost"], [401]]
        for caller in callers:
            caller.http.close()


def test_worlds_come_and_go_beside_each_other() -> None:
    def live(number: int) -> list[Any]:
        with FakeRouter() as router, contextlib.closing(Caller(router).http) as http:
            order = {"idempotency_key": str(number), **SPEC}
            return [http.post("/provision", json=order).status_code for _ in range(3)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(live, range(16))) == [[200] * 3] * 16
    assert threads() == []


def test_records(calling: Calling, clock: HandClock) -> None:
    caller = calling(llm_events_lag=7)
    router = caller.router
    instance_id = caller.ready(clock)
    caller.chat(instance_id, "Grüße")
    caller.llm_events(instance_id, 5)
    caller.http.post("/provision", content=b"{", headers={"content-type": "application/json"})
    caller.http.post("/provision", content=b'{"a": NaN}')
    caller.http.put("/provision")
    redirected = caller.http.get("/instances/by-key/k/?a=b")
    assert redirected.status_code == 307
    assert redirected.headers["location"] == f"{router.url}{PREFIX}/instances/by-key/k?a=b"
    first, *rest = router.requests
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
    assert [(it.method, it.route, it.status, it.query, it.body, it.at) for it in rest] == [
        ("POST", "chat", 200, "", {"message": "Grüße"}, 1060.0),
        ("GET", "llm_events", 200, "window_seconds=5", None, 1060.0),
        ("POST", "provision", 422, "", None, 1060.0),
        ("POST", "provision", 422, "", {"a": None}, 1060.0),
        ("PUT", None, 405, "", None, 1060.0),
        ("GET", None, 307, "a=b", None, 1060.0),
    ]
    assert rest[0].path == f"{PREFIX}/instances/{instance_id}/chat"
    assert isinstance(router.instances[0], FakeInstance)
    assert router.llm_events == ()
    clock.pass_by(7)
    assert router.llm_events == (LlmEvent(instance_id, "anthropic", 1067),)
    router.reset()
    assert (router.instances, router.requests, router.llm_events) == ((), (), ())
    assert caller.status(instance_id).status_code == 404


def test_token_scenario_and_clock_are_what_was_given(clock: HandClock) -> None:
    scenario = Scenario(reply="Yes")
    router = FakeRouter(scenario, "!~", clock)
    assert (router.scenario, router.token, router.clock) == (scenario, "!~", clock)
    assert FakeRouter().scenario == Scenario()
    assert FakeRouter().token != FakeRouter().token


def test_public_names() -> None:
    names = ["Clock", "FakeInstance", "FakeRouter", "LlmEvent", "RequestRecord"]
    names += ["Scenario", "serve"]
    assert fake.__all__ == names
    for name in names:
        assert getattr(fake, name).__name__ == name
    missing: Any = "Router"
    with pytest.raises(AttributeError, match="has no attribute 'Router'"):
        getattr(fake, missing)


# Connections


def test_a_client_that_breaks_the_protocol_disturbs_nobody(calling: Calling) -> None:
    caller = calling()
    host, port = caller.router.url.removeprefix("http://").split("/")[0].split(":")
    prefix = "/" + caller.router.url.rpartition("/")[2]
    half = f"POST {prefix}{PREFIX}/provision HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"
    for said in (b"", b"no http\r\n\r\n", half.encode()):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(said)
    assert caller.ask("poll") == [200]


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


def test_many_streams_at_once_lose_nothing(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="text", reply="one two three", event_pause=1)
    caller.ask(" ".join(f"provision/{number}" for number in range(20)))
    clock.pass_by(60)
    # None goes on beyond its first event before all have theirs.
    barrier = threading.Barrier(20, lambda: clock.pass_by(1000))

    def read(instance: FakeInstance) -> list[str]:
        with caller.stream(instance.id) as answer:
            told = EventSource(answer).iter_sse()
            first = next(told).data
            barrier.wait(30)
            return [first, *(event.data for event in told)]

    with ThreadPoolExecutor(20) as pool:
        told = list(pool.map(read, caller.router.instances))
    assert told == [["one", " two", " three", "[DONE]"]] * 20
    assert len(caller.router.llm_events) == 20


def test_endless_streams_do_not_hold_up_the_end() -> None:
    with contextlib.ExitStack() as stack:
        router = FakeRouter(Scenario(row_after=0, statuses=((0, "running"),)), clock=HandClock())
        router.__enter__()
        caller = Caller(router)
        stack.enter_context(caller.http)
        instance_id = caller.provision().json()["instance_id"]
        router.break_stream("stall", times=5)
        router.break_stream("flood", times=5)
        answers = [stack.enter_context(caller.stream(instance_id)) for _ in range(10)]
        read = [answer.iter_raw() for answer in answers]
        for pieces in read:
            next(pieces)
        router.__exit__(None, None, None)
        assert threads() == []
        for pieces in read:
            with pytest.raises(LOST):
                for _ in pieces:
                    pass


def test_a_process_ends_although_a_stream_is_open() -> None:
    # Nobody leaves the `with`, and a thread goes on reading.
    code = f"""
    import threading, urllib.request
    from pytest_hydrasmoke.fake import FakeRouter, Scenario

    router = FakeRouter(Scenario(row_after=0, statuses=((0, "running"),))).__enter__()
    router.break_stream("flood")

    def ask(path, body):
        headers = {{"authorization": "Bearer " + router.token, "content-type": "application/json"}}
        url = router.url + "{PREFIX}" + path
        return urllib.request.urlopen(urllib.request.Request(url, body, headers))

    ask("/provision", b'{{"idempotency_key": "k", "manifest_id": "m", "region_id": "r",'
        b' "tier_id": "t"}}').read()
    answer = ask("/instances/" + router.instances[0].id + "/chat", b'{{"message": "hi"}}')
    answer.readline()

    def read():
        try:
            answer.read()
        except Exception:
            pass

    threading.Thread(target=read, daemon=True).start()
    print("over", flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "over\n", "")
