"""What a worker finds on its host: settings that are no good, which it has no need to read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_hydrasmoke import SmokeInstance

WORKER = os.environ.get("PYTEST_XDIST_WORKER")

if WORKER is not None:
    os.environ["HYDRA_SMOKE_URL"] = "not a URL"
    os.environ["HYDRA_SMOKE_NO_SUCH_SETTING"] = "1"
    os.environ.pop("HYDRA_SMOKE_TOKEN", None)


def pytest_hydra_smoke_instance_ready(instance: SmokeInstance) -> None:
    with Path("ready").open("a", encoding="utf-8") as file:
        file.write(f"{instance.id}\n")


@pytest.fixture
def worker() -> str:
    return WORKER or "alone"
