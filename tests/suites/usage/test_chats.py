"""A chat, and nothing else."""

from __future__ import annotations

from pytest_hydrasmoke import SmokeInstance


def test_chats(smoke_instance: SmokeInstance) -> None:
    smoke_instance.chat("leaves one")
