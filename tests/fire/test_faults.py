"""Every fault on every call, by every kind of client; and a router that says far too much.

A call ends in an error of the package, in time, without much memory; nothing stays open; what was
provisioned is deleted or in the ledger; and a message is accepted once at most.
"""

from __future__ import annotations

import itertools
import json
import random
import string
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import fire_tools as fire
import pytest
from gates import answer_of, serving
from net_tools import FIELDS
from starlette.responses import JSONResponse

from pytest_hydrasmoke import HydraSmokeConfig
from pytest_hydrasmoke._run.preflight import learn
from pytest_hydrasmoke.fake import FakeRouter, Scenario

pytestmark = pytest.mark.fire


def test_every_fault_ends_in_a_typed_error_in_time_and_leaves_nothing(tmp_path: Path) -> None:
    def run(number: int) -> fire.Outcome:
        return fire.run_cell(fire.ALL_CELLS[number], tmp_path / str(number))

    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(run, range(len(fire.ALL_CELLS))))
    slowest = max(outcomes, key=lambda it: it.overrun)
    largest = max(outcomes, key=lambda it: it.growth)
    errors = Counter(str(it.told["steps"][0]["error"]) for it in outcomes)
    complaints = [words for it in outcomes for words in it.complaints()]
    print(
        f"\n{len(outcomes)} cells, errors of the call {dict(errors.most_common())}, "
        f"worst overrun {slowest.overrun:.2f} s ({slowest.cell}), "
        f"worst growth {largest.growth:.0f} MiB ({largest.cell}), {len(complaints)} complaints, "
        f"at most {max(it.accepted for it in outcomes)} chat accepted for one message"
    )
    assert not complaints, "\n".join(complaints)


# A router that says too much

SECONDS = 40.0
COUNTS = itertools.count()
_random = random.Random(22)


def word(length: int) -> str:
    return "".join(_random.choices(string.ascii_lowercase, k=length))


def words(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "status": word(1000) * 1000} if body.get("status") else body


def fields(body: dict[str, Any]) -> dict[str, Any]:
    prefix = word(3)
    return {**body, **{f"{prefix}{number:05}": 0 for number in range(70_000)}}


def providers(body: dict[str, Any]) -> dict[str, Any]:
    if "providers" not in body:
        return body
    # None before the first chat; an LLM event for each name.
    count, prefix = 100_000 * next(COUNTS), word(2)
    names = [f"{prefix}{number:05}" for number in range(min(count, 100_000))]
    return {**body, "count": count, "providers": names}


def talkative(router: FakeRouter, change: Any) -> AbstractContextManager[str]:
    """Serve a router whose answers to GET are changed; gives its URL."""

    async def gate(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] != "GET":
            await router.app(scope, receive, send)
            return
        sent = await answer_of(router.app, scope, receive)
        body = json.loads(sent[1]["body"])
        body = change(body) if sent[0]["status"] == 200 else body
        await JSONResponse(body, sent[0]["status"])(scope, receive, send)

    return serving(gate)


@pytest.mark.parametrize("change", [words, fields, providers])
def test_a_router_that_says_too_much_fills_nothing(change: Any, tmp_path: Path) -> None:
    # With fields alone it never gets ready either: it is polled all the time.
    statuses = ((0.0, "running"),) if change is providers else ((0.0, "queued"),)
    router = FakeRouter(Scenario(row_after=0.0, statuses=statuses))
    with talkative(router, change) as url:
        token: Any = router.token
        absent = [*learn(HydraSmokeConfig(url=url, token=token, run_id="fire", **FIELDS))]
        given = {"kind": "sync", "url": url, "token": token, "output": str(tmp_path)}
        given |= {"absent": absent, "seconds": SECONDS, "at_least": 10**9}
        told = fire.told_by(fire.python("fire_cell.py", **given), 3 * SECONDS)
    grown, report = told["growth"], told["report"]
    print(f"{change.__name__}: {grown / fire.MIB:.0f} MiB, report {report:,} bytes")
    assert grown <= 64 * fire.MIB
    assert 0 < report <= 2_000_000
