"""Fixtures of the history: what pipelines have kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from history_tools import slower, written


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    return written(tmp_path / "artifacts", slower())
