"""Markers that say nothing that could be done."""

from __future__ import annotations

from unittest import TestCase

import pytest

runs = pytest.mark.hydra_smoke_runs


@runs
def test_nothing() -> None: ...


@runs(at_least=2)
def test_no_n() -> None: ...


@runs(2, 1)
def test_position() -> None: ...


@runs(2, n=1)
def test_twice() -> None: ...


@runs(2, atleast=1)
def test_unknown() -> None: ...


@runs(True)
def test_bool() -> None: ...


@runs(0)
def test_none_at_all() -> None: ...


@runs("3")
def test_text() -> None: ...


@runs(3, at_least=1.5)
def test_fraction() -> None: ...


@runs(3, at_least=None)
def test_no_number() -> None: ...


@pytest.mark.parametrize("many", range(9))
@runs(2, at_least=3)
def test_too_many(many: int) -> None: ...


@pytest.fixture
def asks(subtests: object) -> None: ...


@runs(2)
def test_subtests(asks: None) -> None: ...


@runs(2)
class TestOfUnittest(TestCase):
    def test_method(self) -> None: ...
