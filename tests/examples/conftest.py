"""Fixtures of a project that runs pytest, and of a router."""

from __future__ import annotations

from project_fixtures import no_settings, project, router, routing

__all__ = ["no_settings", "project", "router", "routing"]
