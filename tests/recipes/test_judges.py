"""The judge of `docs/write/varying.md`, and the tests that ask it."""

from __future__ import annotations

import shutil

import pytest
from inner import only
from shown import ROOT

PAGES = ROOT / "docs" / "write"


def test_pydantic_evals_judges(project: pytest.Pytester) -> None:
    pytest.importorskip("pydantic_evals")
    # The first of three replies is refused.
    shutil.copy(PAGES / "recipes" / "pydantic_evals_judge.py", project.path / "conftest.py")
    arguments = (*only(), "--hydra-smoke-fake", "-rP", "test_apology.py")
    run = project.runpytest_subprocess(*arguments)
    run.assert_outcomes(passed=2)
    run.stdout.fnmatch_lines(
        [
            "2 of 3 runs passed, and 2 of 3 must: true *",
            "  run 1: failed in * s: AssertionError: It does not say sorry.",
            "  run 2: passed in * s",
            "  run 3: passed in * s",
        ]
    )
