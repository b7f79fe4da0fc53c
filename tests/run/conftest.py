"""Fixtures of runs and sweeps, and of clients of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from client_fixtures import anyio_backend, no_waste
from ledger_tools import begun
from net_tools import KINDS
from run_fixtures import fake, live, looks_at_once, output
from run_tools import Runs, making_runs
from sweeping import Bench

from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._transport import gathering
from pytest_hydrasmoke.fake import FakeRouter

__all__ = ["anyio_backend", "fake", "live", "looks_at_once", "no_waste", "output"]


@pytest.fixture
def bench(
    fake: FakeRouter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Bench:
    """Runs and sweeps at a quick router: what has no row has none to come."""
    return Bench(fake, tmp_path, monkeypatch, capsys, row_settle=0)


@pytest.fixture
def ledger(output: Path) -> Iterator[Ledger]:
    """The ledger of a run that has begun."""
    ledger = begun(output)
    yield ledger
    ledger.end()


@pytest.fixture(params=KINDS[:2])
def kind(request: pytest.FixtureRequest) -> str:
    """Blocking and asyncio; where another loop may do something else, a test names it."""
    given: str = request.param
    return given


@pytest.fixture
def a_run() -> Iterator[Runs]:
    """Give `a_run(scenario, **settings)`: a fake router, and a run against it in real time."""
    with ExitStack() as stack:
        yield making_runs(stack)


@pytest.fixture
def brief_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a request that is to end little time for its answer: here none comes."""
    monkeypatch.setattr(gathering, "STOP_SECONDS", 0.1)
