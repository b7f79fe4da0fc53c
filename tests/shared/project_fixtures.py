"""Fixtures of the plugin's tests: a project, and a router to run against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from plugin_tools import QUICK, TOKEN, Project

from pytest_hydrasmoke.fake import FakeRouter, Scenario


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
