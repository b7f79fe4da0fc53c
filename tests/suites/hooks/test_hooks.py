"""A chat whose events the conftest explains."""

from __future__ import annotations

from pytest_hydrasmoke import SmokeInstance


def test_chat(smoke_instance: SmokeInstance) -> None:
    turn = smoke_instance.chat("hello")
    assert "<said>" in turn.text
    assert turn.complete
