"""The spec of one folder."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke import InstanceSpec


@pytest.fixture
def smoke_spec(smoke_spec: InstanceSpec) -> InstanceSpec:
    return smoke_spec.model_copy(update={"tier_id": "folder"})
