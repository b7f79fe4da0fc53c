"""One test that fails and one that does not."""

from __future__ import annotations


def test_fails() -> None:
    raise AssertionError("as it should")


def test_passes() -> None:
    assert True
