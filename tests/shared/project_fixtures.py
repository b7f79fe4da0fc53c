"""Fixtures of every folder: a project that runs pytest, and a router to run it against.

Loaded by the conftest at the root: for tests without them, what they are made of is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from plugin_tools import Project

    from pytest_hydrasmoke.fake import FakeRouter, Scenario


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    from plugin_tools import Project

    return Project(pytester, monkeypatch)


@pytest.fixture
def routing() -> Iterator[Callable[..., FakeRouter]]:
    """Give `routing(scenario, **form)`: a router that serves until the test's end."""
    from other_form import give_form
    from plugin_tools import TOKEN

    from pytest_hydrasmoke.fake import FakeRouter

    with ExitStack() as stack:
        yield lambda scenario, **form: stack.enter_context(
            give_form(FakeRouter(scenario, TOKEN), **form) if form else FakeRouter(scenario, TOKEN)
        )


@pytest.fixture
def router(routing: Callable[[Scenario], FakeRouter]) -> FakeRouter:
    """A router whose instances are ready at once."""
    from plugin_tools import QUICK

    return routing(QUICK)
