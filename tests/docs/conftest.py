"""Fixtures of a reader's project, and of routers to run it against."""

from __future__ import annotations

from project_fixtures import no_settings, project, router, routing

__all__ = ["no_settings", "project", "router", "routing"]
