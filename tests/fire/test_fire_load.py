"""Many instances at once, from a router that is slow, and now and then too busy."""

from __future__ import annotations

import time
from typing import Any

import anyio
import pytest
from fire_tools import FULL
from net_tools import FIELDS, KINDS, smoke_session
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pytest_hydrasmoke import AsyncSmokeInstanceFactory, HydraSmokeConfig, SmokeInstanceFactory
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.protocol import IN_FLIGHT
from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.server import mount, unmount

MANY = 50 if FULL else 20
PAUSE = 0.15 if FULL else 0.02
"""Seconds that each answer takes."""
BOOT = Scenario(row_after=0.3, statuses=((0.0, "queued"), (1.0 if FULL else 0.3, "running")))


class BusyRouter:
    """An app that lets every request wait, refuses some, and counts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.requests = self.inside = self.most = self.busy = self.down = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        number = self.requests
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await anyio.sleep(PAUSE)
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


async def many(kind: str, session: SmokeSession) -> list[Any]:
    if kind == "sync":
        return list(SmokeInstanceFactory(session).many(MANY))
    io = AsyncIO(session.config.link)
    try:
        return list(await AsyncSmokeInstanceFactory(session, io).many(MANY))
    finally:
        await io.aclose()


@pytest.mark.parametrize("kind", KINDS if FULL else KINDS[:1])
def test_many_at_once_are_all_ready_and_all_deleted(kind: str) -> None:
    fake = FakeRouter(BOOT)
    router = BusyRouter(fake.app)
    place = mount(router)
    try:
        config = HydraSmokeConfig(
            url=place.url, token=fake.token, run_id="load", max_instances=MANY, **FIELDS
        )
        session = smoke_session(config)
        start = time.monotonic()
        instances = anyio.run(many, kind, session, backend="trio" if kind == "trio" else "asyncio")
        ready = sum(it.ready for it in fake.instances)
        session.close()
        took = time.monotonic() - start
    finally:
        unmount(place)
    deleted = sum(it.deleted for it in fake.instances)
    print(
        f"\nload ({kind}): {ready} ready, {deleted} deleted in {took:.1f} s, {router.requests} "
        f"requests, {router.busy} times 429, {router.down} times 503, "
        f"at most {router.most} in flight"
    )
    assert len({it.id for it in instances}) == len(fake.instances) == MANY
    assert (ready, deleted) == (MANY, MANY)
    assert not [record for record in session.records if record.leak]
    assert router.busy
    assert router.down
    assert router.most <= IN_FLIGHT
