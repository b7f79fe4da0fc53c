"""Fixtures of a project that runs pytest."""

from __future__ import annotations

from project_fixtures import no_settings, project

__all__ = ["no_settings", "project"]
