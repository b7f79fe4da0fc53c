"""A project against a router."""

from __future__ import annotations

import pytest
from plugin_tools import Project

from pytest_hydrasmoke.fake import FakeRouter


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A project against `router`."""
    return project.suite("bare").at(router, run_id="run")
