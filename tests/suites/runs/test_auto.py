"""Coroutines that pytest-asyncio takes without a marker, where it is told to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.mark.hydra_smoke_runs(3, at_least=2)
async def test_auto(run: Iterator[int]) -> None:
    assert next(run) > 1
