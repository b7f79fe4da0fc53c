"""Fixtures of a project that runs pytest, and of a folder from which its router is known."""

from __future__ import annotations

import pytest
from plugin_tools import Project
from project_fixtures import project, router, routing

from pytest_hydrasmoke.fake import FakeRouter

__all__ = ["project", "router", "routing"]


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A folder from which `router` is known."""
    return project.at(router)
