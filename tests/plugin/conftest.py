"""Fixtures of a project that runs pytest, and signals that count."""

from __future__ import annotations

from project_fixtures import no_settings, project, router, routing
from run_fixtures import signals_that_count

__all__ = ["no_settings", "project", "router", "routing", "signals_that_count"]
