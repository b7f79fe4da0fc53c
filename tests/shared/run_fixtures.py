"""Fixtures of the ownership rooms' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hurried import hurried
from owner_tools import ONLY, environment_for

from pytest_hydrasmoke.fake import FakeRouter, Scenario

QUICK = Scenario(row_after=0.0, statuses=((0.0, "running"),), llm_events_lag=0)


@pytest.fixture(autouse=True)
def looks_at_once() -> Iterator[None]:
    """Let sweeps look again at once."""
    with hurried():
        yield


@pytest.fixture
def fake() -> Iterator[FakeRouter]:
    """A router whose instances are there and ready at once."""
    with FakeRouter(QUICK) as router:
        yield router


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / ".hydrasmoke"


@pytest.fixture
def live(
    fake: FakeRouter, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    """Return `live(text, *arguments)`: a live run against `fake`, its main process this one."""
    for name, value in environment_for(fake).items():
        monkeypatch.setenv(name, value)

    def run(text: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=text)
        given = (*ONLY, "--hydra-smoke", "test_it.py", *arguments)
        workers = ("-p", "xdist") if "-n" in arguments else ()
        return pytester.runpytest_inprocess(*workers, *given)

    return run
