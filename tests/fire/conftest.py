"""Fixtures of a project that runs pytest, and of a router to run it against."""

from __future__ import annotations

from project_fixtures import project, router, routing

__all__ = ["project", "router", "routing"]
