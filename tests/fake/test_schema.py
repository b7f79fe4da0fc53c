"""schemathesis against the fake: what its own document promises holds for whatever is asked.

Many seconds of a library that most have no use for: `tox -e heavy -- fidelity` installs it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from pytest_hydrasmoke.fake import FakeRouter, Scenario

pytestmark = pytest.mark.fidelity
CASES = 200
TOKEN = "a-token-of-the-schema"


# What can't hold for a FastAPI application with this contract either, and why.
EXCLUDED = {
    "status_code_conformance": "the contract names 200 and 422 only: no 401, 404, 405",
    "negative_data_rejection": "unknown fields are ignored, and '7.0' is a whole number",
    "content_type_conformance": "the contract says JSON of chat, which is an event stream",
}


@pytest.fixture(scope="module")
def router() -> Iterator[FakeRouter]:
    with FakeRouter(Scenario(row_after=0, statuses=((0, "running"),)), TOKEN) as router:
        yield router


def test_what_the_document_promises_holds(router: FakeRouter) -> None:
    import schemathesis

    schema = schemathesis.openapi.from_url(f"{router.url}/openapi.json")
    excluded = schemathesis.checks.CHECKS.get_by_names(list(EXCLUDED))
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    seen: Counter[str] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()
        # There is no wrong way to poll: any text is a key.
        for mode in modes if "by-key" not in operation.label else modes[:1]:
            seen[operation.label] += _try(operation, mode, router.url, excluded)
    told = ", ".join(f"{label}: {count}" for label, count in seen.items())
    print(f"\n{seen.total()} cases, 0 failures ({told})")
    assert len(seen) == 6


def _try(operation: Any, mode: Any, url: str, excluded: list[Any]) -> int:
    cases = 0

    @settings(
        max_examples=CASES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        nonlocal cases
        cases += 1
        case.call_and_validate(
            base_url=url, headers={"authorization": f"Bearer {TOKEN}"}, excluded_checks=excluded
        )

    one()
    return cases
