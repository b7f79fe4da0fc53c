"""The kinds of client: sync (inside a running loop, which must not matter), asyncio and trio."""

from __future__ import annotations

import asyncio.constants
import os

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


@pytest.fixture(autouse=True)
def no_waste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take no time for what nothing here is about."""
    # No process is killed here, so that ledgers may stay in the system's cache.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    # In its debug mode asyncio remembers that many frames for every callback.
    monkeypatch.setattr(asyncio.constants, "DEBUG_STACK_DEPTH", 1)
