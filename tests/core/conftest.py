"""Fixtures of clients of every kind; and no test leaves a turn under way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from client_fixtures import anyio_backend, kind, no_waste

from pytest_hydrasmoke._core import one_turn

__all__ = ["anyio_backend", "kind", "no_waste"]


@pytest.fixture(autouse=True)
def nobody_is_left_busy() -> Iterator[None]:
    yield
    left = set(one_turn._busy)
    one_turn._busy.clear()
    assert not left
