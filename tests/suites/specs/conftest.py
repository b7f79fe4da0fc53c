"""The spec of a whole project."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke import InstanceSpec


@pytest.fixture
def smoke_spec() -> InstanceSpec:
    return InstanceSpec(manifest_id="m", region_id="r", tier_id="root")
