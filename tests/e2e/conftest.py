"""Fixtures of whole runs: a project, a router, and what becomes of both."""

from __future__ import annotations

from project_fixtures import no_settings, project, router, routing
from run_fixtures import (
    fake,
    looks_at_once,
    no_settings_of_this_machine,
    signals_that_count,
)

__all__ = [
    "fake",
    "looks_at_once",
    "no_settings",
    "no_settings_of_this_machine",
    "project",
    "router",
    "routing",
    "signals_that_count",
]
