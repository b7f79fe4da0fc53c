"""G22: polls full of words, fields and names neither fill the memory nor the report."""

from __future__ import annotations

import itertools
import json
import os
import random
import string
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.server import mount, unmount

MIB = 1 << 20
SECONDS = 40.0
HERE = Path(__file__).parent
COUNTS = itertools.count()
_random = random.Random(22)


def word(length: int) -> str:
    return "".join(_random.choices(string.ascii_lowercase, k=length))


def words(path: str, body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "status": word(1000) * 1000} if body.get("status") else body


def fields(path: str, body: dict[str, Any]) -> dict[str, Any]:
    prefix = word(3)
    return {**body, **{f"{prefix}{number:05}": 0 for number in range(70_000)}}


def providers(path: str, body: dict[str, Any]) -> dict[str, Any]:
    if "providers" not in body:
        return body
    # None before the first chat; an LLM event for each name.
    count, prefix = 100_000 * next(COUNTS), word(2)
    names = [f"{prefix}{number:05}" for number in range(min(count, 100_000))]
    return {**body, "count": count, "providers": names}


@contextmanager
def talkative(router: FakeRouter, change: Any) -> Iterator[str]:
    """Serve a router whose answers to GET are changed; gives its URL."""

    async def gate(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] != "GET":
            await router.app(scope, receive, send)
            return
        sent: list[Any] = []

        async def keep(message: Any) -> None:
            sent.append(message)

        await router.app(scope, receive, keep)
        body = json.loads(sent[1]["body"])
        if sent[0]["status"] == 200:
            body = change(scope["path"], body)
        await JSONResponse(body, sent[0]["status"])(scope, receive, send)

    place = mount(gate)
    try:
        yield place.url
    finally:
        unmount(place)


@pytest.mark.fire
@pytest.mark.parametrize("change", [words, fields, providers])
def test_a_router_that_says_too_much_fills_nothing(change: Any, tmp_path: Path) -> None:
    # With fields alone it never gets ready either: it is polled all the time.
    statuses = ((0.0, "running"),) if change is providers else ((0.0, "queued"),)
    router = FakeRouter(Scenario(row_after=0.0, statuses=statuses))
    with talkative(router, change) as url:
        given = {"url": url, "token": router.token, "seconds": SECONDS, "output": str(tmp_path)}
        folders = [str(HERE), str(HERE.parent / "shared"), os.environ.get("PYTHONPATH")]
        path = filter(None, folders)
        ran = subprocess.run(
            [sys.executable, HERE / "fire_polls.py", json.dumps(given)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            capture_output=True,
            text=True,
            timeout=SECONDS + 60,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    print(f"G22 {change.__name__}: {told['growth'] / MIB:.0f} MiB, report {told['report']:,} bytes")
    assert told["growth"] <= 64 * MIB
    assert told["report"] <= 2_000_000
