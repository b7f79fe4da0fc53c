"""Tests that say and hear what is to be told to nobody, and do not tell it themselves."""

from __future__ import annotations

from pytest_hydrasmoke import SmokeInstance

MESSAGE = bytes(reversed(b"?ton ro surlaw a uoy erA")).decode()


def test_hears_it(smoke_instance: SmokeInstance) -> None:
    assert smoke_instance.chat(MESSAGE).tool_calls


def test_is_cut(smoke_instance: SmokeInstance) -> None:
    smoke_instance.chat(MESSAGE)


def test_fails_after_it(smoke_instance: SmokeInstance) -> None:
    said = len(smoke_instance.chat(MESSAGE).text)
    assert said == 0
