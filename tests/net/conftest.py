"""The kinds of client: sync (inside a running loop, which must not matter), asyncio and trio."""

from __future__ import annotations

import pytest
from net_tools import KINDS


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    given: str = request.param
    return given


@pytest.fixture
def anyio_backend(kind: str) -> str:
    """Name the loop that a test of this kind runs in."""
    return "trio" if kind == "trio" else "asyncio"
