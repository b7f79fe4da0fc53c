"""Fixtures of a project that runs pytest."""

from __future__ import annotations

import pytest
from plugin_tools import Project
from project_fixtures import router, routing

__all__ = ["router", "routing"]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose routers count without a lag: a turn's events are not waited for long."""
    return Project(pytester, monkeypatch).set(usage_settle=0.5)
