"""Pytest's own tools for testing plugins, for every test of this project."""

from __future__ import annotations

import os

pytest_plugins = ["pytester"]

# The runs that are tested must not write into the summary of the job that tests them.
for _name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
    os.environ.pop(_name, None)
