"""Fixtures of a project that runs pytest."""

from __future__ import annotations

import pytest
from plugin_tools import Project
from project_fixtures import project, router, routing

from pytest_hydrasmoke.fake import FakeRouter

__all__ = ["project", "router", "routing"]


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A project against `router`."""
    return project.suite("bare").at(router, run_id="run")
