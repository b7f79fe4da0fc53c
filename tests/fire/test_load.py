"""Many instances at once, from a router that is slow, and now and then too busy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from net_tools import FIELDS, KINDS, smoke_session
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pytest_hydrasmoke import AsyncSmokeInstanceFactory, HydraSmokeConfig, SmokeInstanceFactory
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.protocol import IN_FLIGHT
from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.server import mount, unmount


@dataclass(frozen=True)
class Load:
    """How many instances there are at once, and how slow the router is."""

    kind: str
    many: int
    pause: float
    """Seconds that each answer takes."""
    boot: float

    def __str__(self) -> str:
        return f"{self.kind}, {self.many}"


LOADS = [
    Load("sync", 20, 0.02, 0.3),
    *(pytest.param(Load(kind, 50, 0.15, 1.0), marks=pytest.mark.fire) for kind in KINDS),
]


class BusyRouter:
    """An app that lets every request wait, refuses some, and counts."""

    def __init__(self, app: ASGIApp, pause: float) -> None:
        self._app = app
        self._pause = pause
        self.requests = self.inside = self.most = self.busy = self.down = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        number = self.requests
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await anyio.sleep(self._pause)
            await self._answer(number)(scope, receive, send)
        finally:
            self.inside -= 1

    def _answer(self, number: int) -> ASGIApp:
        if number % 13 == 5:
            self.busy += 1
            return JSONResponse({"detail": "slow down"}, 429, {"retry-after": "1"})
        if number % 17 == 3:
            self.down += 1
            return JSONResponse({"detail": "a moment"}, 503)
        return self._app


async def many(load: Load, session: SmokeSession) -> list[Any]:
    if load.kind == "sync":
        return list(SmokeInstanceFactory(session).many(load.many))
    io = AsyncIO(session.config.link)
    try:
        return list(await AsyncSmokeInstanceFactory(session, io).many(load.many))
    finally:
        await io.aclose()


@pytest.mark.parametrize("load", LOADS, ids=str)
def test_many_at_once_are_all_ready_and_all_deleted(load: Load) -> None:
    fake = FakeRouter(Scenario(row_after=0.3, statuses=((0.0, "queued"), (load.boot, "running"))))
    router = BusyRouter(fake.app, load.pause)
    place = mount(router)
    try:
        config = HydraSmokeConfig(
            url=place.url, token=fake.token, run_id="load", max_instances=load.many, **FIELDS
        )
        session = smoke_session(config)
        backend = "trio" if load.kind == "trio" else "asyncio"
        start = time.monotonic()
        instances = anyio.run(many, load, session, backend=backend)
        ready = sum(it.ready for it in fake.instances)
        session.close()
        took = time.monotonic() - start
    finally:
        unmount(place)
    deleted = sum(it.deleted for it in fake.instances)
    print(
        f"\nload ({load}): {ready} ready, {deleted} deleted in {took:.1f} s, {router.requests} "
        f"requests, {router.busy} times 429, {router.down} times 503, "
        f"at most {router.most} in flight"
    )
    assert len({it.id for it in instances}) == len(fake.instances) == load.many
    assert (ready, deleted) == (load.many, load.many)
    assert not [record for record in session.records if record.leak]
    assert router.busy
    assert router.down
    assert router.most <= IN_FLIGHT
