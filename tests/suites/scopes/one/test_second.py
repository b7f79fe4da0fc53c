"""Another module of the same package."""

from __future__ import annotations

import pytest


@pytest.mark.usefixtures("telling")
def test_e() -> None: ...
