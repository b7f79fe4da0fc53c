"""Fixtures of a project that runs pytest."""

from __future__ import annotations

from project_fixtures import project, router, routing

__all__ = ["project", "router", "routing"]
