"""Fixtures of clients of every kind; and no test leaves a turn under way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from client_fixtures import anyio_backend, kind, no_waste

from pytest_hydrasmoke._core import run_turns

__all__ = ["anyio_backend", "kind", "no_waste"]


@pytest.fixture(autouse=True)
def nobody_is_left_busy() -> Iterator[None]:
    yield
    left = set(run_turns._busy)
    run_turns._busy.clear()
    assert not left
