"""Many instances at once, from a router that is slow, and now and then too busy."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from gates import serving
from net_tools import FIELDS, KINDS, run_for
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pytest_hydrasmoke import AsyncSmokeInstanceFactory, HydraSmokeConfig, SmokeInstanceFactory
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.protocol import IN_FLIGHT
from pytest_hydrasmoke.fake import FakeRouter, Scenario

LOADS = [
    ("sync", 20, 0.02, 0.3),
    *(pytest.param(kind, 50, 0.15, 1.0, marks=pytest.mark.fire) for kind in KINDS),
]
"""Kinds of clients, how many instances at once, and the seconds of an answer and of a boot."""


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


@pytest.mark.parametrize(("kind", "number", "pause", "boot"), LOADS)
def test_many_at_once_are_all_ready_and_all_deleted(
    kind: str, number: int, pause: float, boot: float
) -> None:
    async def many() -> list[Any]:
        if kind == "sync":
            return list(SmokeInstanceFactory(run).many(number))
        io = AsyncIO(run.config.link)
        try:
            return list(await AsyncSmokeInstanceFactory(run, io).many(number))
        finally:
            await io.aclose()

    fake = FakeRouter(Scenario(row_after=0.3, statuses=((0.0, "queued"), (boot, "running"))))
    router = BusyRouter(fake.app, pause)
    with serving(router) as url:
        config = HydraSmokeConfig(
            url=url, token=fake.token, run_id="load", max_instances=number, **FIELDS
        )
        run = run_for(config)
        instances = anyio.run(many, backend="trio" if kind == "trio" else "asyncio")
        assert all(it.ready for it in fake.instances)
        run.close()
    assert all(it.deleted for it in fake.instances)
    assert len({it.id for it in instances}) == len(fake.instances) == number
    assert not [instance for instance in run.instances if instance.leak]
    assert router.busy
    assert router.down
    assert router.most <= IN_FLIGHT
