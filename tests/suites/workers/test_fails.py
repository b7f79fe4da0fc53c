"""A failure, and a test in each of two workers that does not end; what comes behind it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pytest_hydrasmoke import ConfigError, HydraSmokeConfig, SmokeInstance, SmokeInstanceFactory


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("smoke_instance", [{"tier_id": "other"}], indirect=True, ids=["other"])
def test_fails(smoke_instance: SmokeInstance) -> None:
    raise AssertionError("a failure of the test's own")


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(0, marks=pytest.mark.xdist_group("one")),
        pytest.param(1, marks=pytest.mark.xdist_group("two")),
    ],
)
def test_hangs(smoke_instance_factory: SmokeInstanceFactory, number: int) -> None:
    smoke_instance_factory().chat("hello")
    time.sleep(600)


@pytest.mark.xdist_group("two")
def test_provisions_once_the_run_is_over(
    smoke_config: HydraSmokeConfig, smoke_instance_factory: SmokeInstanceFactory
) -> None:
    over = smoke_config.output / "runs" / smoke_config.run_id / "over"
    end = time.monotonic() + 60
    while not over.exists() and time.monotonic() < end:
        time.sleep(0.01)
    with pytest.raises(ConfigError, match=f"run {smoke_config.run_id} is over"):
        smoke_instance_factory()
    Path("refused").touch()
