"""Fixtures of a project that runs pytest, and signals that count."""

from __future__ import annotations

import pytest
from plugin_tools import Project
from project_fixtures import no_settings, router, routing
from run_fixtures import signals_that_count

__all__ = ["no_settings", "router", "routing", "signals_that_count"]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose routers count without a lag: a turn's events are not waited for long."""
    return Project(pytester, monkeypatch).set(usage_settle=0.5)
