"""A module of another package."""

from __future__ import annotations

import pytest


@pytest.mark.usefixtures("telling")
def test_f() -> None: ...
