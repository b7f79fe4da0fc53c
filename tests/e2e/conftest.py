"""Fixtures of whole runs, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from run_fixtures import fake, looks_at_once

__all__ = ["fake", "looks_at_once"]

import_module("journal_check")  # Else each run would import it anew.


@pytest.fixture(autouse=True)
def journals_say_what_reports_say(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """See in every run here that what its processes have written is what it reports."""
    monkeypatch.setenv("PYTEST_PLUGINS", "journal_check")
    yield
    wrong = Path(pytester.path) / "journal.wrong"
    assert not wrong.exists(), wrong.read_text("utf-8")
