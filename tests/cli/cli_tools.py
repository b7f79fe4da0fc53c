"""The command line in this process, from a folder from which a router is known."""

from __future__ import annotations

import pytest
from plugin_tools import TOKEN

from pytest_hydrasmoke._cli.main import main

Output = pytest.CaptureFixture[str]


def check(output: Output) -> tuple[int, list[str]]:
    """Run `hydra-smoke check` here; gives its exit code and what it wrote."""
    code = main(["check"])
    out, err = output.readouterr()
    assert TOKEN not in out + err
    return code, (out + err).splitlines()


def like(lines: list[str], *patterns: str) -> None:
    pytest.LineMatcher(lines).fnmatch_lines(list(patterns), consecutive=True)
