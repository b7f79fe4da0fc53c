"""The files of `docs/write/varying.md`, in a project of their own."""

from __future__ import annotations

import pytest
from blocks import write_files
from shown import ROOT


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Make the project; its agent is a fake."""
    # Nobody counts LLM events here.
    monkeypatch.setenv("HYDRA_SMOKE_USAGE_SETTLE", "0.05")
    write_files(ROOT / "docs" / "write" / "varying.md", pytester.path)
    return pytester
