"""Pytest's own tools for testing plugins, for every test of this project."""

from __future__ import annotations

pytest_plugins = ["pytester"]
