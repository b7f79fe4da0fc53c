"""Two classes and two functions."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("telling")


class TestA:
    def test_a1(self) -> None: ...

    def test_a2(self) -> None: ...


class TestB:
    def test_b1(self) -> None: ...


def test_c() -> None: ...


def test_d() -> None: ...
