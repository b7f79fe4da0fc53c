"""What a check has shown not to work, so that one cause is one failure.

The first check that fails of a call tells of it; those that need the call as well are skipped, and
name that one. What was waited for in vain is not waited for again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Protocol

import pytest

from pytest_hydrasmoke import HydraSmokeError, SmokeInstance


class Support(Protocol):
    """What the run does for its checks."""

    def of_a_check(self, request: pytest.FixtureRequest) -> SmokeInstance: ...

    def refuted(self, call: str, test: str) -> str | None:
        """Return how another test has shown that a call does not work."""
        ...

    def not_run(self, test: str, why: str) -> None: ...

    def tell(self, call: str, test: str, why: str | None) -> None:
        """Tell the run that a call does not work; None: that it does."""
        ...


def _support(request: pytest.FixtureRequest) -> Support:
    found: Support | None = request.config.pluginmanager.get_plugin("hydra-smoke-fixtures")
    assert found is not None  # Without a switch, a fixture has skipped the test.
    return found


def own_instance(request: pytest.FixtureRequest) -> SmokeInstance:
    """Return an instance for a check alone; skips where the run is attached to one."""
    return _support(request).of_a_check(request)


def works(request: pytest.FixtureRequest, *calls: str) -> bool:
    """Return whether no other test has shown that one of these calls does not work."""
    support, test = _support(request), request.node.nodeid
    return not any(support.refuted(call, test) for call in calls)


def needs(request: pytest.FixtureRequest, *calls: str) -> None:
    """Skip the test where another one has shown that one of these calls does not work."""
    support, test = _support(request), request.node.nodeid
    for call in calls:
        why = support.refuted(call, test)
        if why is not None:
            support.not_run(test, why)


@contextlib.contextmanager
def proving(request: pytest.FixtureRequest, call: str) -> Generator[None]:
    """See that a call works: tell of it if it fails, and skip if another test has done so."""
    needs(request, call)
    support, test = _support(request), request.node.nodeid
    try:
        yield
    except HydraSmokeError as error:
        kind = type(error).__name__
        support.tell(call, test, f"{call} was shown to fail in {test} ({kind})")
        raise
    support.tell(call, test, None)
