"""Fixtures of progress: a project that runs pytest, and signals that count for its runs."""

from __future__ import annotations

from project_fixtures import no_settings, project
from run_fixtures import signals_that_count

__all__ = ["no_settings", "project", "signals_that_count"]
