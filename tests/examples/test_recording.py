"""The example suites are recorded against agents that have something to say, and replayed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from inner import only
from plugin_tools import TOKEN, Project
from shown import ROOT
from support_agent import RUNTIMES, support_agents

EXAMPLES = ROOT / "examples"
RECORD = ("--hydra-smoke", "--hydra-smoke-record=recordings")
REPLAY = ("--hydra-smoke-fake", "--hydra-smoke-scenario=recordings/")
SUITES = {"team": 9, "async_team": 3, "matrix": 7, "recorded_team": 5}
"""How many tests of each speak with an agent that was not asked to be a live one."""


def copy(name: str, project: Project) -> None:
    left_out = shutil.ignore_patterns("__pycache__", ".*", "recordings")
    shutil.copytree(EXAMPLES / name, project.path, dirs_exist_ok=True, ignore=left_out)


def run(project: Project, *options: str) -> pytest.RunResult:
    asyncio = "asyncio_mode" in (project.path / "pyproject.toml").read_text("utf-8")
    plugins = only("pytest_asyncio.plugin") if asyncio else only()
    tests = "tests" if (project.path / "tests").exists() else "."
    return project.pytester.runpytest_inprocess(*plugins, *options, tests)


@pytest.mark.examples
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", SUITES)
def test_a_suite_that_was_recorded_is_replayed(name: str, runtime: str, project: Project) -> None:
    copy(name, project)
    # A matrix sets the rest of its specs itself.
    project.set(region_id="eu-central", tier_id="00000000-0000-4000-8000-000000000001")
    with support_agents(runtime) as (router, url):
        project.set(url=url, token=TOKEN)
        live = run(project, *RECORD)
        asked = router.asked.total()
        replayed = run(project, *REPLAY)
        assert router.asked.total() == asked > 0
    assert (live.ret, replayed.ret) == (0, 0)
    skipped = 1 if name == "recorded_team" else 0
    live.assert_outcomes(passed=SUITES[name] + skipped)
    replayed.assert_outcomes(passed=SUITES[name], skipped=skipped)
    replayed.stdout.no_fnmatch_line("*hydra-smoke: note: *")


@pytest.mark.examples
def test_recording_the_example_again_changes_nothing(project: Project) -> None:
    """With HYDRA_EXAMPLES_REFRESH=1, its recordings are what is said now."""
    copy("recorded_team", project)
    kept = EXAMPLES / "recorded_team" / "recordings"
    made = project.path / "recordings"
    refreshed = bool(os.environ.get("HYDRA_EXAMPLES_REFRESH"))
    if not refreshed:
        shutil.copytree(kept, made)
    with support_agents("openai") as (_, url):
        project.set(url=url, token=TOKEN)
        assert run(project, *RECORD).ret == 0
    if refreshed:
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(made, kept)
    assert texts(made) == texts(kept)


def texts(folder: Path) -> dict[str, str]:
    files = (it for it in folder.rglob("*") if it.is_file())
    return {it.relative_to(folder).as_posix(): it.read_text("utf-8") for it in files}
