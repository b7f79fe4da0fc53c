"""Thousands of requests to the fake and to its FastAPI twin: the same answers, to the letter.

A sample in every run; `-m fidelity` asks for all of them, `HYDRA_FIDELITY_SEED` for others, and has
schemathesis see that what its own document promises holds for whatever is asked.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import twin
from fake_tools import HandClock
from fastapi import FastAPI
from fidelity_tools import Answer, Asked, Asking, ask, chosen, provision
from hypothesis import HealthCheck, Phase, given, settings
from sizes import sizes

from pytest_hydrasmoke._api.contract import contract
from pytest_hydrasmoke.fake import FakeRouter, Scenario

SEED = int(os.environ.get("HYDRA_FIDELITY_SEED", "20"))
AT_ONCE = Scenario(row_after=0, statuses=((0, "running"),), llm_events_lag=0)
# What FastAPI makes of a bare `null` has changed.
STRICT = "strict_content_type" in inspect.signature(FastAPI.__init__).parameters

Compared = tuple[Counter[int], list[tuple[Asked, Answer, Answer]]]


async def compare(requests: Iterable[Asked], known: list[str]) -> Compared:
    """Ask both for the same; gives how often which code was answered, and every difference.

    The ids of instances that they make come to be `known`.
    """
    clock = HandClock()
    router = FakeRouter(AT_ONCE, twin.TOKEN, clock)

    def ids(key: str) -> tuple[str, str]:
        instance_id, task_id = twin.beside(router)(key)
        known.append(instance_id)
        return instance_id, task_id

    app = twin.build(twin.AtOnce(ids, clock.now))
    codes: Counter[int] = Counter()
    differences: list[tuple[Asked, Answer, Answer]] = []
    for asked in requests:
        untyped = not dict(asked.headers).get(b"content-type") and asked.body
        if not STRICT and (asked.body.strip() == b"null" or untyped):
            continue
        ours, theirs = await ask(router.app, asked), await ask(app, asked)
        codes[theirs.status] += 1
        if comparable(asked, ours) != comparable(asked, theirs):
            differences.append((asked, ours, theirs))
    return codes, differences


def comparable(asked: Asked, answer: Answer) -> Answer:
    """Leave out what need not be equal: what an agent says, and how a document is ordered."""
    kind = dict(answer.headers).get(b"content-type", b"")
    document = asked.target.partition("?")[0] == "/openapi.json" and answer.status == 200
    if kind.startswith(b"text/event-stream") or document:
        headers = tuple(it for it in answer.headers if it[0] != b"content-length")
        return replace(answer, headers=headers, body=b"")
    return answer


# FastAPI's own question to models of an old pydantic, which answers it with a warning.
@pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")
@pytest.mark.parametrize("requests", sizes("fidelity", 400, 20_000))
def test_the_fake_answers_as_its_twin(requests: int) -> None:
    asking = Asking(SEED)
    some = (asking.next() for _ in range(requests))
    codes, differences = asyncio.run(compare(some, asking.known))
    told = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
    print(f"\nseed {SEED}: {requests} requests, {len(differences)} differences ({told})")
    assert differences == []
    # Nothing that could be asked for has been left out.
    assert {200, 401, 404, 405, 422} <= codes.keys()


@pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")
def test_the_fake_answers_as_its_twin_where_it_is_awkward() -> None:
    known: list[str] = []

    def requests() -> Iterator[Asked]:
        yield provision(idempotency_key="awkward")
        yield from chosen(known[0])

    codes, differences = asyncio.run(compare(requests(), known))
    assert differences == []
    assert {200, 307, 400, 401, 404, 405, 422, 500} <= codes.keys()
    assert codes.total() > 1000  # Fewer are asked with an old httpx, which sends no odd paths.


@pytest.mark.reference
def test_the_same_seed_asks_the_same() -> None:
    one, other = Asking(1), Asking(1)
    asked = [one.next() for _ in range(100)]
    assert asked == [other.next() for _ in range(100)]
    assert asked != [Asking(2).next() for _ in range(100)]


def test_the_document_is_the_contract() -> None:
    document = asyncio.run(ask(FakeRouter().app, Asked("GET", "/openapi.json", (), b"")))
    assert (document.status, dict(document.headers)[b"content-type"]) == (200, b"application/json")
    assert json.loads(document.body) == contract()


# What can't hold for a FastAPI application with this contract either, and why.
EXCLUDED = {
    "status_code_conformance": "the contract names 200 and 422 only: no 401, 404, 405",
    "negative_data_rejection": "unknown fields are ignored, and '7.0' is a whole number",
    "content_type_conformance": "the contract says JSON of chat, which is an event stream",
}


ALL = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.fidelity
def test_what_the_document_promises_holds() -> None:
    import schemathesis

    seen: Counter[str] = Counter()
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    with FakeRouter(AT_ONCE) as router:
        headers = {"authorization": f"Bearer {router.token}"}
        schema = schemathesis.openapi.from_url(f"{router.url}/openapi.json")
        excluded = schemathesis.checks.CHECKS.get_by_names(list(EXCLUDED))
        for found in schema.get_all_operations():
            operation = found.ok()

            def one(case: Any) -> None:
                seen[case.operation.label] += 1
                case.call_and_validate(
                    base_url=router.url, headers=headers, excluded_checks=excluded
                )

            # There is no wrong way to poll: any text is a key.
            for mode in modes if "by-key" not in operation.label else modes[:1]:
                ALL(given(case=operation.as_strategy(generation_mode=mode))(one))()
    told = ", ".join(f"{label}: {count}" for label, count in seen.items())
    print(f"\n{seen.total()} cases, 0 failures ({told})")
    assert len(seen) == 6
