"""What the runs of a test share: it is set up once for all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest


@pytest.fixture
def run() -> Iterator[int]:
    """Count the runs: `next(run)` is the number of the run, from 1."""
    return itertools.count(1)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have a team's own marker stand for runs."""
    for item in items:
        if item.get_closest_marker("varies"):
            item.add_marker(pytest.mark.hydra_smoke_runs(3, at_least=2))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "varies: an agent's words vary here")
