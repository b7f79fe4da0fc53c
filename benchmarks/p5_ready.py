"""P5: how soon it is noticed that an instance is ready, and how many requests that takes.

The lifecycle itself, over a router and a clock that are a few lines: a request takes no time, so
what is seen is the rhythm alone. The worst of many boots is what counts, since each rhythm has
moments that suit it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from bench_result import Bar, Result

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.lifecycle import provision
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.stage import Keeper
from pytest_hydrasmoke._transport.links import Link
from pytest_hydrasmoke._transport.protocol import Answer, Request, drive

ID = "5f0c2a7e-3a4b-4c1d-9e8f-0a1b2c3d4e5f"
KEY = "benchmark-0"
SPEC = InstanceSpec(manifest_id="hermes-basic", region_id="eu-central", tier_id="tier-1")


class Boot:
    """A router whose one instance is ready at `ready_at`, and a clock that only sleeps move."""

    def __init__(self, ready_at: float) -> None:
        self._ready_at = ready_at
        self._now = 0.0
        self.requests = 0

    link = Link("https://router.example", None)

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._now += seconds

    async def send(self, request: Request, deadline: float) -> Answer:
        self.requests += 1
        status = "running" if self._now >= self._ready_at else "booting"
        answers: dict[str, dict[str, object]] = {
            "provision": {"idempotency_key": KEY, "instance_id": ID, "task_id": "task-1"},
            "poll": {"found": True, "instance_id": ID, "status": status},
            "status": {"id": ID, "hostname": None, "status": status},
        }
        return Answer(200, {}, json.dumps(answers[request.call]).encode())

    async def open(self, request: Request, deadline: float) -> Any:
        raise NotImplementedError

    def cleanup_deadline(self) -> float:
        return float("inf")

    async def grace(self, seconds: float, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        raise NotImplementedError

    async def gather(self, works: Any, **how: Any) -> Any:
        raise NotImplementedError


@dataclass
class Found:
    """How late the worst boot was noticed, in seconds, and the requests of the longest one."""

    lag: float = 0.0
    over: float = 0.0
    """By how many times the lag was larger than a tenth of the time, or 0.25 s."""
    requests: int = 0

    def add(self, boot: Boot, ready_at: float) -> None:
        lag = boot.now() - ready_at
        self.lag = max(self.lag, lag)
        self.over = max(self.over, lag / max(ready_at / 10, 0.25))
        self.requests = max(self.requests, boot.requests)


def ours(boot: Boot) -> None:
    instance = Instance(SPEC, key=KEY, keeper=Keeper(Policy(ready_timeout=3600)))
    drive(provision(Calls(boot), instance))


def every(seconds: float) -> Callable[[Boot], None]:
    """Look at fixed times, as a script does."""

    async def look(boot: Boot) -> None:
        for call in ("provision", "poll"):
            await boot.send(Request(call, "GET", "/"), 0.0)
        while b"running" not in (await boot.send(Request("status", "GET", "/"), 0.0)).body:
            await boot.sleep(seconds)

    return lambda boot: drive(look(boot))


RHYTHMS: dict[str, Callable[[Boot], None]] = {
    "hydrasmoke": ours,
    "every 1 s": every(1.0),
    "every 5 s": every(5.0),
}


def run(boots: int = 100) -> Result:
    result = Result(
        ["ready after", *(f"{name}: lag, requests" for name in RHYTHMS)],
        remarks=[f"The worst lag of {boots} boots of this length and up to a tenth longer."],
    )
    for seconds in (5, 60, 300, 900):
        found = {name: Found() for name in RHYTHMS}
        for number in range(boots):
            ready_at = seconds * (1 + number / boots / 10)
            for name, wait in RHYTHMS.items():
                boot = Boot(ready_at)
                wait(boot)
                found[name].add(boot, ready_at)
        cells = (f"{it.lag:.2f} s, {it.requests}" for it in found.values())
        result.add(f"{seconds} s", *cells)
        mine = found["hydrasmoke"]
        result.bars += [
            Bar(f"ready after {seconds} s: lag against 10% or 0.25 s", round(mine.over, 6), 1.0),
            Bar(f"ready after {seconds} s: lag", round(mine.lag, 6), 5.0, "s"),
        ]
        if seconds >= 60:
            # "Fewer", not "as many at most".
            most = found["every 1 s"].requests - 1
            result.bars.append(
                Bar(f"ready after {seconds} s: requests", mine.requests, most, "requests")
            )
    return result
