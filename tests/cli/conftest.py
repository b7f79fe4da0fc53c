"""A folder from which a router is known."""

from __future__ import annotations

import pytest
from plugin_tools import Project

from pytest_hydrasmoke.fake import FakeRouter


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A folder from which `router` is known."""
    return project.at(router)
