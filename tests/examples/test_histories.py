"""The pipelines' histories: their commands give a verdict of what the jobs before have left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from blocks import run_shell, stand_ins
from history_tools import report_of, written
from pipeline_tools import FOLDER, read

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report import files

GITHUB = read(FOLDER / "github-history.yml")["jobs"]["history"]
GITLAB = read(FOLDER / "gitlab-history.yml")["smoke-history"]
GROUP = "17123456789"
Judge = Callable[[Iterable[Report]], str]


def legs(*numbers: int, **changes: object) -> list[Report]:
    """Make the reports of legs of the pipeline run, after those of older ones."""
    older = [report_of(number) for number in range(3)]
    own = {"group": GROUP, "commit": "c"}
    return [*older, *(report_of(it, pipeline=own, **changes) for it in numbers)]


@pytest.fixture(params=["github", "gitlab"])
def judge(request: pytest.FixtureRequest, tmp_path: Path) -> Judge:
    """Judge as a pipeline does; raises if that is red."""
    commands = stand_ins(tmp_path / "bin")

    def on_github(reports: Iterable[Report]) -> str:
        written(tmp_path / "artifacts", reports)
        [step] = [it for it in GITHUB["steps"] if it.get("name") == "Judge"]
        assert step["env"] == {"GROUP": "${{ github.event.workflow_run.id }}"}
        summary = tmp_path / "summary.md"
        env = {"GROUP": GROUP, "GITHUB_STEP_SUMMARY": str(summary)}
        [said] = run_shell([step["run"]], tmp_path, commands, env)
        assert summary.read_text("utf-8").startswith("## hydra-smoke history: passed\n")
        return said

    def on_gitlab(reports: Iterable[Report]) -> str:
        *older, newest, last = reports
        for place, its in (("history", older), ("reports", [newest, last])):
            (tmp_path / place).mkdir()
            for number, report in enumerate(its):
                path = tmp_path / place / f"report-{place}-{number}.json"
                path.write_text(files.as_json(report), "utf-8")
        env = {"GITLAB_CI": "true", "CI_PIPELINE_ID": GROUP}
        [said] = run_shell(["\n".join(GITLAB["script"])], tmp_path, commands, env)
        return said

    judged: Judge = {"github": on_github, "gitlab": on_gitlab}[request.param]
    return judged


def test_legs_that_are_green_are_one_green_run(judge: Judge, tmp_path: Path) -> None:
    said = judge(legs(3, 4))
    assert f"groups: 4, runs: 5; the newest, {GROUP}, passed" in said
    assert (tmp_path / "history.html").is_file()


def test_a_leg_that_is_red_is(judge: Judge) -> None:
    with pytest.raises(AssertionError, match=f"FAILED failure: run run-3 of group {GROUP}"):
        judge(legs(3, 4, exit_code=1))


def test_a_leg_without_a_report_is_red_whatever_older_runs_were(judge: Judge) -> None:
    with pytest.raises(AssertionError, match=f"missing: group {GROUP} has 1 run, and must have 2"):
        judge(legs(3))


def test_pull_requests_do_not_speak_for_the_branch() -> None:
    assert GITHUB["if"] == "github.event.workflow_run.event != 'pull_request'"
    assert "secrets." not in str(GITHUB)
    assert GITHUB["permissions"] == {"actions": "read"}
    assert GITLAB["rules"] == [{"if": '$CI_COMMIT_REF_PROTECTED == "true"', "when": "always"}]
