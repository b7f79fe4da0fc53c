"""A fake router whose every answer takes a while, and a run without pytest."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from pytest_hydrasmoke import HydraSmokeConfig
from pytest_hydrasmoke._base.evidence import Absent
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.preflight import learn
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke.fake import FakeRouter
from pytest_hydrasmoke.fake.server import mount, unmount

PREFIX = "/internal/v1/smoke"
SPEC = {"manifest_id": "hermes-basic", "region_id": "eu-central", "tier_id": "tier-1"}


class Slow:
    """An app that lets every request wait, and counts."""

    def __init__(self, app: ASGIApp, latency: float) -> None:
        self._app = app
        self._latency = latency
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        await asyncio.sleep(self._latency)
        await self._app(scope, receive, send)


@contextmanager
def serving(fake: FakeRouter, latency: float) -> Generator[tuple[str, Slow]]:
    """Serve a fake with a latency; gives its URL, and what counts its requests."""
    slow = Slow(fake.app, latency)
    place = mount(slow)
    try:
        yield place.url, slow
    finally:
        unmount(place)


def config_for(url: str, token: str, **settings: Any) -> HydraSmokeConfig:
    """Return the settings of a run."""
    given: dict[str, Any] = {"url": url, "token": token, "run_id": "benchmark", **SPEC, **settings}
    return HydraSmokeConfig(**given)


@contextmanager
def a_run(url: str, token: str, absent: Absent | None = None, **settings: Any) -> Generator[Run]:
    """Yield a run, closed in the end; its ledger goes with it.

    It learns first how the router says no, unless that is given.
    """
    config = config_for(url, token, **settings)
    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder), "benchmark")
        ledger.folder.mkdir(parents=True)
        it = Run(config, ledger, absent=absent or learn(config))
        try:
            yield it
        finally:
            it.close()
