"""The example suites: each runs as its readers would run it, on the fake."""

from __future__ import annotations

import shutil

import pytest
from plugin_tools import Project
from shown import ROOT
from sizes import sampled

EXAMPLES = ROOT / "examples"
# What becomes of an example's own tests; what it is run with; what the run then provisions.
SUITES: dict[str, tuple[dict[str, int], tuple[str, ...], int | None]] = {
    "team": ({"passed": 9}, ("--hydra-smoke-fake", "tests"), 2),
    "recorded_team": ({"passed": 5, "skipped": 1}, ("--hydra-smoke-fake", "tests"), 3),
    "async_team": ({"passed": 3}, ("--hydra-smoke-fake",), 3),
    "matrix": ({"passed": 7}, ("--hydra-smoke-fake",), 3),
    "offline_tool": ({"passed": 4}, (), None),
}


@pytest.mark.parametrize("name", sampled("examples", SUITES, ["team"]))
def test_a_suite_passes(name: str, project: Project) -> None:
    own = shutil.ignore_patterns("__pycache__", ".*")
    shutil.copytree(EXAMPLES / name, project.path, dirs_exist_ok=True, ignore=own)
    outcomes, options, provisioned = SUITES[name]
    under_asyncio = "asyncio_mode" in (project.path / "pyproject.toml").read_text("utf-8")
    plugins = ("-p", "pytest_asyncio.plugin") if under_asyncio else ()
    result = project.run(*plugins, *options)
    assert result.ret == 0
    result.assert_outcomes(**outcomes)
    result.stdout.no_fnmatch_line("*hydra-smoke: note: *")
    if provisioned is not None:
        told = f"provisioned {provisioned}, deleted {provisioned}, kept 0, leaked 0, unsure 0"
        result.stdout.fnmatch_lines([f"*{told}*"])


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_is_on_a_page(name: str) -> None:
    pages = "".join(page.read_text("utf-8") for page in ROOT.glob("docs/**/*.md"))
    for file in (EXAMPLES / name).rglob("test_*.py"):
        assert f"../../{file.relative_to(ROOT).as_posix()}" in pages


def test_there_is_no_other_example() -> None:
    folders = {it.name for it in EXAMPLES.iterdir() if it.is_dir()}
    assert folders == {*SUITES, "compose", "pipelines"}
