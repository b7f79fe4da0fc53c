"""Tests by rules of the project's own."""

from __future__ import annotations


class DescribeRouter:
    def it_has_a_spec(self, smoke_spec: object) -> None:
        assert smoke_spec is not None

    def test_is_no_test_here(self) -> None:
        raise AssertionError


def it_adds_up() -> None:
    assert 1 + 1 == 2
