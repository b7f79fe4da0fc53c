"""Fixtures of a project that runs pytest."""

from __future__ import annotations

import pytest
from plugin_tools import Project
from project_fixtures import project, router, routing

__all__ = ["live", "project", "router", "routing"]


@pytest.fixture
def live(project: Project) -> Project:
    """A project with one smoke test, and everything set that a live run needs."""
    return project.suite("mixed").at("https://router.example")
