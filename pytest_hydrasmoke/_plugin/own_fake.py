"""The fixture `smoke_fake`: a fake router for one test, whose faults are all met by its end.

Imported where a test uses it, with or without a switch of the plugin: so it imports only pytest,
the standard library, and the fake.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from pytest_hydrasmoke.fake import FakeRouter
from pytest_hydrasmoke.fake.router import unmet

_NAME = "hydrasmoke-own-fake"
_OUTCOMES: pytest.StashKey[list[str]] = pytest.StashKey()


class _Outcomes:
    """Notes for a test's teardown what came of its call, and of subtests in it."""

    # Around all others, as skipping's, which knows what was expected to fail.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "call":
            item.stash.setdefault(_OUTCOMES, []).append(report.outcome)
        return report


def served(request: pytest.FixtureRequest) -> Iterator[FakeRouter]:
    """Serve the router of a test; then fail a test that passed, and has a fault unmet."""
    plugins, test = request.config.pluginmanager, request.node
    if not plugins.hasplugin(_NAME):
        plugins.register(_Outcomes(), _NAME)
    test.stash[_OUTCOMES] = outcomes = list[str]()
    with FakeRouter(**getattr(request, "param", {})) as fake:
        yield fake
    problem = unmet(fake)
    if problem is not None and outcomes[-1:] == ["passed"] and "failed" not in outcomes:
        pytest.fail(problem, pytrace=False)
