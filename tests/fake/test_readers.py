"""The fake's streams as others read them: httpx-sse, curl, a browser's `fetch`; and many at once.

The router goes by a clock that a reader moves once it has an event, and nobody else does: so each
event that comes was there before the next one was sent.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fake_tools import PREFIX, Caller, HandClock
from httpx_sse import EventSource, aconnect_sse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.server import Server

Calling = Callable[..., Caller]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
CURL = shutil.which("curl")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
STEPS = {"event_pause": 10, "runtime": "named", "reply": "señor 🐙 да"}
SAID = ["señor", " 🐙", " да", "{}"]
"""The data of a turn's events."""
STREAMS, WORDS = 100, 10
ENDLESS = 40
MESSAGE = {"message": "hello"}


def figure(words: str) -> None:
    """Say a figure to whoever runs these tests with `-s`."""
    print(f"\n{words}")


# One after the other


def test_httpx_sse_has_each_event_before_the_next_is_sent(
    calling: Calling, clock: HandClock
) -> None:
    caller = calling(**STEPS)
    instance_id = caller.ready(clock)
    got: list[str] = []
    with caller.stream(instance_id) as answer:
        for event in EventSource(answer).iter_sse():
            got.append(event.data)
            clock.pass_by(10)
    assert got == SAID


@pytest.mark.skipif(CURL is None, reason="no curl is installed")
def test_curl_has_each_event_before_the_next_is_sent(calling: Calling, clock: HandClock) -> None:
    assert CURL is not None
    caller = calling(**STEPS)
    url = f"{caller.router.url}{PREFIX}/instances/{caller.ready(clock)}/chat"
    headers = [f"authorization: Bearer {caller.router.token}", "content-type: application/json"]
    command = [CURL, "--silent", "--no-buffer", "--noproxy", "*", "--data", json.dumps(MESSAGE)]
    command += [word for header in headers for word in ("--header", header)]
    got: list[str] = []
    with subprocess.Popen([*command, url], stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        for line in curl.stdout:
            name, _, data = line.decode().rstrip("\n").partition(": ")
            if name == "data":
                got.append(data)
            elif not name:
                clock.pass_by(10)
    assert (got, curl.returncode) == (SAID, 0)


PAGE = """<!doctype html><script type="module">
const told = text => fetch('/reader/told', {method: 'POST', body: text});
try {
  const answer = await fetch(CHAT, {
    method: 'POST',
    headers: {'authorization': 'Bearer TOKEN', 'content-type': 'application/json'},
    body: '{"message": "hello"}',
  });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const {done, value} = await reader.read();
    if (done) break;
    await told(value);
  }
  await told('');
} catch (error) {
  await told('failed: ' + error);
}
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_fetch_in_a_browser_has_each_event_before_the_next_is_sent(
    clock: HandClock, tmp_path: Path
) -> None:
    assert BROWSER is not None
    router = FakeRouter(Scenario(row_after=0, statuses=((0, "running"),), **STEPS), clock=clock)  # type: ignore[arg-type]
    got: list[str] = []
    over = threading.Event()

    async def page(request: Request) -> Response:
        chat = json.dumps(f"{PREFIX}/instances/{router.instances[0].id}/chat")
        return HTMLResponse(PAGE.replace("CHAT", chat).replace("TOKEN", router.token))

    async def told(request: Request) -> Response:
        text = (await request.body()).decode()
        if text:
            got.append(text)
            clock.pass_by(10)
        else:
            over.set()
        return Response()

    routes = [Route("/", page), Route("/told", told, methods=["POST"])]
    server = Server()
    try:
        server.mount("", router.app)
        # On one origin, or the browser would ask the router whether the page may ask it.
        server.mount("/reader", Starlette(routes=routes))
        headers = {"authorization": f"Bearer {router.token}"}
        order = {"idempotency_key": "k", "manifest_id": "m", "region_id": "r", "tier_id": "t"}
        answer = httpx.post(
            f"{server.url}{PREFIX}/provision", json=order, headers=headers, trust_env=False
        )
        assert answer.status_code == 200
        command = [BROWSER, *QUIET, f"--user-data-dir={tmp_path}", "--remote-debugging-port=0"]
        with subprocess.Popen(
            [*command, f"{server.url}/reader/"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as browser:
            try:
                assert over.wait(60)
            finally:
                browser.terminate()
    finally:
        server.close()
    assert [text.partition("data: ")[2] for text in got] == [f"{data}\n\n" for data in SAID]


# Many at once


def test_a_hundred_streams_at_once_lose_nothing(clock: HandClock) -> None:
    reply = " ".join(f"word{n}" for n in range(WORDS))
    scenario = Scenario(
        row_after=0,
        statuses=((0, "running"),),
        runtime="text",
        reply=reply,
        event_pause=1,
        llm_events_lag=0,
    )
    with FakeRouter(scenario, clock=clock) as router:
        caller = Caller(router)
        with caller.http:
            ids = [caller.provision(f"key-{n}").json()["instance_id"] for n in range(STREAMS)]
        begun = time.perf_counter()
        told = asyncio.run(_read_together(router, clock, ids))
        seconds = time.perf_counter() - begun
    whole = [f"word{n}" if n == 0 else f" word{n}" for n in range(WORDS)]
    lost = sum(len(whole) + 1 - len(events) for events in told)
    figure(f"{STREAMS} streams at once: {sum(map(len, told))} events, {lost} lost, {seconds:.2f} s")
    assert told == [[*whole, "[DONE]"]] * STREAMS
    assert len(router.llm_events) == STREAMS


async def _read_together(router: FakeRouter, clock: HandClock, ids: list[str]) -> list[list[str]]:
    """Read a turn of each; none goes on beyond its first event before all have theirs."""
    first = asyncio.Event()
    waiting = set(ids)

    async def read(http: httpx.AsyncClient, instance_id: str) -> list[str]:
        got: list[str] = []
        url = f"{PREFIX}/instances/{instance_id}/chat"
        async with aconnect_sse(http, "POST", url, json=MESSAGE) as source:
            async for event in source.aiter_sse():
                got.append(event.data)
                if len(got) == 1:
                    waiting.discard(instance_id)
                    if not waiting:
                        clock.pass_by(1000)
                        first.set()
                    await first.wait()
        return got

    async with httpx.AsyncClient(
        base_url=router.url,
        headers={"authorization": f"Bearer {router.token}"},
        limits=httpx.Limits(max_connections=None),
        # Each waits for all others: how long that takes is the machine's.
        timeout=None,
        trust_env=False,
    ) as http:
        return list(await asyncio.gather(*(read(http, instance_id) for instance_id in ids)))


# The end of a run


def test_endless_streams_do_not_hold_up_the_end(clock: HandClock) -> None:
    router = FakeRouter(Scenario(row_after=0, statuses=((0, "running"),)), clock=clock)
    router.__enter__()
    caller = Caller(router)
    instance_id = caller.provision().json()["instance_id"]
    router.break_stream("stall", times=ENDLESS // 2)
    router.break_stream("flood", times=ENDLESS // 2)
    streams = [caller.stream(instance_id) for _ in range(ENDLESS)]
    answers = [stream.__enter__() for stream in streams]
    for answer in answers:
        next(answer.iter_raw())
    servers = [t for t in threading.enumerate() if t.name == "hydrasmoke-fake"]
    begun = time.perf_counter()
    router.__exit__(None, None, None)
    figure(f"{ENDLESS} endless streams: stopped in {1000 * (time.perf_counter() - begun):.0f} ms")
    assert not [server for server in servers if server.is_alive()]
    for answer in answers:
        answer.close()
    caller.http.close()


def test_a_process_ends_although_a_stream_is_open() -> None:
    # Nobody leaves the `with`, and a thread goes on reading.
    code = f"""
    import contextlib, threading, urllib.request
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
        with contextlib.suppress(Exception):
            answer.read()

    threading.Thread(target=read, daemon=True).start()
    print("over", flush=True)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "over\n", "")
