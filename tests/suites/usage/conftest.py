"""What puts tests of several workers in an order: each waits until another one is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_hydrasmoke import SmokeInstance

Takes = Callable[[str], SmokeInstance]


@pytest.fixture
def takes(request: pytest.FixtureRequest) -> Takes:
    """Give `takes(name)`: the shared instance, once the test of that name has had it."""

    def take(after: str) -> SmokeInstance:
        while not Path(after).exists():
            time.sleep(0.01)
        instance: SmokeInstance = request.getfixturevalue("smoke_instance")
        return instance

    return take


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell that a test has had its turn; with workers, in the main process."""
    if report.when == "call":
        Path(report.location[2]).touch()
