"""A worker that dies in the middle of a turn, and the next one's turn."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_hydrasmoke import SmokeInstance


@pytest.mark.xdist_group("one")
def test_dies(smoke_instance: SmokeInstance) -> None:
    with smoke_instance.stream_chat("leaves one") as events:
        assert list(events)
        Path("died").touch()
        os._exit(1)


@pytest.mark.xdist_group("one")
def test_next(smoke_instance: SmokeInstance) -> None:
    assert Path("died").exists()
    smoke_instance.chat("leaves one").expect_llm_events(at_most=1)
