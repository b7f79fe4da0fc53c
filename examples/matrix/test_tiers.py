"""The same tests on every tier, and the tiers compared: one instance of each."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke import SmokeInstance

TIERS = {
    "basic-eu": {"tier_id": "00000000-0000-4000-8000-000000000001", "region_id": "eu-central"},
    "large-eu": {"tier_id": "00000000-0000-4000-8000-000000000002", "region_id": "eu-central"},
    "large-us": {"tier_id": "00000000-0000-4000-8000-000000000002", "region_id": "us-east"},
}

every_tier = pytest.mark.parametrize("smoke_instance", TIERS.values(), ids=TIERS, indirect=True)


@every_tier
def test_it_answers(smoke_instance: SmokeInstance) -> None:
    turn = smoke_instance.chat("Are you ready?")
    assert "ready" in turn.text
    assert turn.complete


@every_tier
def test_its_usage_is_counted(smoke_instance: SmokeInstance) -> None:
    smoke_instance.chat("Are you ready?").expect_llm_events(at_least=1)


@pytest.mark.parametrize("smoke_instance", [TIERS["large-us"]], ids=["large-us"], indirect=True)
def test_large_ones_remember_what_was_said(smoke_instance: SmokeInstance) -> None:
    # The same instance as above.
    assert smoke_instance.spec.region_id == "us-east"
    smoke_instance.chat("My favourite colour is green.")
    assert smoke_instance.chat("Which colour do I like best?").complete
