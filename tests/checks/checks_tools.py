"""Runs of one bundled check each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from plugin_tools import CHECKS, Project

from pytest_hydrasmoke.fake import FakeRouter, Scenario

Routing = Callable[[Scenario], FakeRouter]
DELETION = "test_deletion::test_deletion_is_confirmed_and_a_second_one_does_no_harm"
RUNNING: tuple[tuple[float, str], ...] = ((0, "running"),)


def like(**more: Any) -> Scenario:
    """Return a scenario whose instances are ready at once."""
    return Scenario(row_after=0, statuses=RUNNING, **more)


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A project against `router`."""
    return project.suite("bare").at(router, run_id="run")


def check(project: Project, name: str) -> pytest.RunResult:
    """Run one bundled check, given as `test_file::test_name`."""
    file, _, test = name.partition("::")
    return project.live(f"{CHECKS}/{file}.py::{test}")


def fails(project: Project, name: str, *lines: str, number: int = 1) -> None:
    """Run one bundled check, which is to fail in its call with these words, and leave nothing."""
    result = check(project, name)
    result.assert_outcomes(failed=number)
    result.stdout.fnmatch_lines([*(f"E *{line}" for line in lines), "*kept 0, leaked 0"])


def passes(project: Project, name: str) -> None:
    check(project, name).assert_outcomes(passed=1)
