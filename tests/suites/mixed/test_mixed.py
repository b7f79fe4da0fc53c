"""A test that needs no router, one that needs one, and one that brings its own."""

from __future__ import annotations

from pytest_hydrasmoke import SmokeInstance
from pytest_hydrasmoke.fake import FakeRouter


def test_plain() -> None:
    assert True


def test_smoke(smoke_instance: SmokeInstance) -> None:
    assert smoke_instance.status().status == "running"


def test_offline(smoke_fake: FakeRouter) -> None:
    assert smoke_fake.url.startswith("http://127.0.0.1:")
