"""Fixtures of progress: a project that runs pytest."""

from __future__ import annotations

from project_fixtures import project

__all__ = ["project"]
