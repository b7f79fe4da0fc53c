"""P4: one call of `SmokeClient`, and a whole lifecycle, beside scripts on a bare httpx.Client.

The fake router runs in this process, as in a user's tests: the CPU time of a call is that of both
sides. The lifecycle is told by the clock on the wall, since it is all waiting.
"""

from __future__ import annotations

import time

import httpx
from bench_fake import PREFIX, SPEC, a_run, config_for, serving
from bench_measure import Turns, rounds
from bench_result import Bar, Result

from pytest_hydrasmoke import SmokeClient, SmokeInstanceFactory
from pytest_hydrasmoke._run.preflight import learn
from pytest_hydrasmoke.fake import FakeRouter, Scenario

LATENCY = 0.02
LOOK = 0.25
"""Seconds between two looks, as ours has them in a boot of 2 s."""
PROOF = 6
"""Is the key free, how many LLM events were there before, is it there still, is its key gone? And
what is answered for a random id, and for a path that does not exist?"""


def run(calls: int = 300, boot: float = 2.0, times: int = 5) -> Result:
    result = Result(["what", "hydrasmoke, ms", "httpx.Client, ms", "ratio"])
    one = _call(calls, times)
    whole, requests = _lifecycle(boot, times)
    for what, turns, count in (("one call", one, calls), ("the lifecycle", whole, 1)):
        ours, theirs = (turns.seconds(name) * 1000 / count for name in ("ours", "theirs"))
        result.add(what, ours, theirs, turns.ratio("ours", "theirs"))
    result.bars = [
        Bar("one call", one.ratio("ours", "theirs"), 1.10),
        Bar("the lifecycle", whole.ratio("ours", "theirs"), 1.07),
        # One look more or less at the end of the boot is a matter of milliseconds.
        Bar("requests beyond the script's and those for proof", requests, 1, "requests"),
    ]
    return result


def _bare(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=url + PREFIX, headers={"authorization": f"Bearer {token}"})


def _call(calls: int, times: int) -> Turns:
    with (
        FakeRouter(Scenario(row_after=0, statuses=((0, "running"),))) as fake,
        SmokeClient(fake.url, token=fake.token) as client,
        _bare(fake.url, fake.token) as bare,
    ):
        body = {"idempotency_key": "call-0", **SPEC}
        instance = bare.post("/provision", json=body).raise_for_status().json()["instance_id"]

        def ours() -> None:
            for _ in range(calls):
                assert client.status(instance).status == "running"

        def theirs() -> None:
            for _ in range(calls):
                answer = bare.get(f"/instances/{instance}").raise_for_status().json()
                assert answer["status"] == "running"

        return rounds({"ours": ours, "theirs": theirs}, times)


def _lifecycle(boot: float, times: int) -> tuple[Turns, int]:
    """Time both; gives the requests too that ours made beyond the script's and those for proof."""
    statuses = ((0.0, "queued"), (boot, "running"))
    fake = FakeRouter(Scenario(row_after=0, statuses=statuses, llm_events_lag=0))
    made: dict[str, int] = {}
    with serving(fake, LATENCY) as (url, slow):
        # A run learns this once, whatever the number of its instances.
        absent = learn(config_for(url, fake.token))

        def ours() -> None:
            before = slow.requests
            with a_run(url, fake.token, absent) as run, SmokeInstanceFactory(run)() as instance:
                turn = instance.chat("Are you ready?")
                turn.expect_llm_events()
            made["ours"] = slow.requests - before
            fake.reset()

        def theirs() -> None:
            before = slow.requests
            with _bare(url, fake.token) as bare:
                _script(bare)
            made["theirs"] = slow.requests - before
            fake.reset()

        turns = rounds({"ours": ours, "theirs": theirs}, times, timer=time.monotonic)
    return turns, made["ours"] - made["theirs"] - PROOF


def _script(bare: httpx.Client) -> None:
    bare.post("/provision", json={"idempotency_key": "script-0", **SPEC}).raise_for_status()
    while not (found := bare.get("/instances/by-key/script-0").json())["found"]:
        time.sleep(LOOK)
    path = f"/instances/{found['instance_id']}"
    while bare.get(path).json()["status"] != "running":
        time.sleep(LOOK)
    with bare.stream("POST", f"{path}/chat", json={"message": "Are you ready?"}) as response:
        assert "[DONE]" in list(response.iter_lines())[-2]
    while not bare.get(f"{path}/llm-events", params={"window_seconds": 900}).json()["count"]:
        time.sleep(LOOK)
    bare.delete(path).raise_for_status()
    assert bare.get(path).status_code == 404
