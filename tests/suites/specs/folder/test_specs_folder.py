"""Tests with a spec of their folder."""

from __future__ import annotations

from pytest_hydrasmoke import SmokeInstance


def test_of_folder(smoke_instance: SmokeInstance) -> None:
    assert smoke_instance.spec is not None
    assert smoke_instance.spec.tier_id == "folder"
