"""Every smoke test here tells its agent its name, so that the router knows the order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_hydrasmoke import SmokeInstance


@pytest.fixture
def telling(smoke_instance: SmokeInstance, request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    # In the tear-down, in which the instance is still the test's.
    smoke_instance.chat(request.node.name)
