"""Fixtures of the plugin's tests: a clean environment, a project, and a router to run against."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from plugin_tools import QUICK, TOKEN, Project

from pytest_hydrasmoke.fake import FakeRouter, Scenario


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        # PYTEST_XDIST_WORKER: these tests may themselves run in a worker, their projects do not.
        if name.upper().startswith(("HYDRA_SMOKE_", "PYTEST_ADDOPTS", "PYTEST_XDIST")):
            monkeypatch.delenv(name)
    monkeypatch.delenv("OPS_BEARER_TOKEN", raising=False)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(pytester, monkeypatch)


@pytest.fixture
def routing() -> Iterator[Callable[[Scenario], FakeRouter]]:
    """Give `routing(scenario)`: a router that serves until the test's end."""
    with ExitStack() as stack:
        yield lambda scenario: stack.enter_context(FakeRouter(scenario, TOKEN))


@pytest.fixture
def router(routing: Callable[[Scenario], FakeRouter]) -> FakeRouter:
    """A router whose instances are ready at once."""
    return routing(QUICK)
