"""A failure, and the end of a worker, each of which happens once; then tests that pass."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_hydrasmoke import SmokeInstance


def test_fails_once(smoke_instance: SmokeInstance) -> None:
    smoke_instance.chat("fails").expect_llm_events()
    mark = Path("failed")
    if not mark.exists():
        mark.touch()
        raise AssertionError("a failure of the test's own")


def test_crashes_once(smoke_instance: SmokeInstance) -> None:
    mark = Path("crashed")
    if "CRASHES" in os.environ and not mark.exists():
        mark.touch()
        os._exit(7)


@pytest.mark.parametrize("number", range(4))
def test_turn(smoke_instance: SmokeInstance, number: int) -> None:
    smoke_instance.chat(str(number)).expect_llm_events()
