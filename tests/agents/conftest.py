"""Fixtures of a project that runs pytest."""

from __future__ import annotations

from project_fixtures import no_settings, project, router, routing

__all__ = ["no_settings", "project", "router", "routing"]
