"""Tests with the project's spec, with one of a class, and with some of a parameter."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_hydrasmoke import InstanceSpec, SmokeInstance

Plan = Callable[[SmokeInstance], str]
ANOTHER = InstanceSpec(manifest_id="m", region_id="r", tier_id="whole")


def tier(instance: SmokeInstance) -> str:
    assert instance.spec is not None
    return instance.spec.tier_id


def test_plain(smoke_instance: SmokeInstance) -> None:
    assert tier(smoke_instance) == "root"


@pytest.mark.parametrize("smoke_instance", [{"tier_id": "big"}, None, ANOTHER], indirect=True)
def test_by_parameter(smoke_instance: SmokeInstance) -> None:
    assert tier(smoke_instance) in ("big", "root", "whole")


class TestClass:
    @pytest.fixture
    def smoke_spec(self, smoke_spec: InstanceSpec) -> InstanceSpec:
        return smoke_spec.model_copy(update={"tier_id": "class"})

    def test_of_class(self, smoke_instance: SmokeInstance) -> None:
        assert tier(smoke_instance) == "class"

    @pytest.mark.parametrize("smoke_instance", [{"agent_name": "bob"}], indirect=True)
    def test_by_parameter_over_class(self, smoke_instance: SmokeInstance) -> None:
        assert smoke_instance.spec is not None
        assert (tier(smoke_instance), smoke_instance.spec.agent_name) == ("class", "bob")


def test_plain_again(smoke_instance: SmokeInstance) -> None:
    assert tier(smoke_instance) == "root"


@pytest.mark.parametrize("smoke_instance", [{"tier_id": "big"}], indirect=True)
def test_big_again(smoke_instance: SmokeInstance) -> None:
    assert tier(smoke_instance) == "big"
