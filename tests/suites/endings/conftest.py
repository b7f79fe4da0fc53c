"""Fixtures that go wrong before, and after, the instance is there."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke import SmokeInstance


@pytest.fixture
def broken(smoke_instance: SmokeInstance) -> None:
    raise RuntimeError("broken set-up")
