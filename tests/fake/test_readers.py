"""The fake's streams as others read them, httpx-sse and curl; and many at once.

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

import httpx
import pytest
from fake_tools import PREFIX, Caller, HandClock
from httpx_sse import EventSource, aconnect_sse

from pytest_hydrasmoke.fake import FakeRouter, Scenario

Calling = Callable[..., Caller]
CURL = shutil.which("curl")
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
    read = [answer.iter_raw() for answer in answers]
    for pieces in read:
        next(pieces)
    servers = [t for t in threading.enumerate() if t.name == "hydrasmoke-fake"]
    begun = time.perf_counter()
    router.__exit__(None, None, None)
    figure(f"{ENDLESS} endless streams: stopped in {1000 * (time.perf_counter() - begun):.0f} ms")
    assert not [server for server in servers if server.is_alive()]
    for pieces in read:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            for _ in pieces:
                pass
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
