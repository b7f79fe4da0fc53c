"""One test that uses an instance."""

from __future__ import annotations

from pytest_hydrasmoke import SmokeInstance


def test_ready(smoke_instance: SmokeInstance) -> None:
    assert smoke_instance.status().status == "running"
