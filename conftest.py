"""Pytest's own tools for testing plugins, for every test of this project; how hard chance tries."""

from __future__ import annotations

import os

from hypothesis import settings

pytest_plugins = ["pytester"]

# The runs that are tested must not write into the summary of the job that tests them.
for _name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
    os.environ.pop(_name, None)

# No deadline for one example: the machine may be busy. No database: a failure prints what repeats
# it, and a run depends on nothing that an earlier one left.
settings.register_profile("sample", max_examples=50, deadline=None, database=None, print_blob=True)
settings.register_profile("full", settings.get_profile("sample"), max_examples=2_000)
settings.register_profile("few", settings.get_profile("sample"), max_examples=20)
settings.load_profile("full" if os.environ.get("HYDRA_FUZZ_FULL") == "1" else "sample")
