"""Fixtures of progress: one on a clock of its own, and signals that count for runs on terminals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from run_fixtures import signals_that_count
from watched import Watched

__all__ = ["signals_that_count"]


@pytest.fixture
def watched(
    pytestconfig: pytest.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Watched]:
    made = Watched(pytestconfig, tmp_path, monkeypatch)
    yield made
    made.progress.pytest_unconfigure()
