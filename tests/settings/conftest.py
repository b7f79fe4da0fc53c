"""A project for a live run."""

from __future__ import annotations

import pytest
from plugin_tools import Project


@pytest.fixture
def live(project: Project) -> Project:
    """A project with one smoke test, and everything set that a live run needs."""
    return project.suite("mixed").at("https://router.example")
