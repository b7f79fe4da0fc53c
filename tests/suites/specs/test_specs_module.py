"""Tests with a spec of their module."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke import InstanceSpec, SmokeInstance


@pytest.fixture
def smoke_spec(smoke_spec: InstanceSpec) -> InstanceSpec:
    return smoke_spec.model_copy(update={"tier_id": "module"})


def test_of_module(smoke_instance: SmokeInstance) -> None:
    assert smoke_instance.spec is not None
    assert smoke_instance.spec.tier_id == "module"
