"""The pipelines' histories: their commands give a verdict of what the jobs before have left."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import yaml
from blocks import run_shell, stand_ins
from history_tools import report_of, written
from pipeline_tools import FOLDER, of_a_build, page_block, read, sh_steps

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report import run_files

WORKFLOW = read(FOLDER / "github-history.yml")["jobs"]
GITHUB = WORKFLOW["history"]
GITLAB = read(FOLDER / "gitlab-history.yml")["smoke-history"]
GROUP = "17123456789"
PAGES = ("history.html", "public/index.html")
"""Where a pipeline writes the page."""
Judge = Callable[[Iterable[Report]], str]


def legs(*numbers: int, **changes: object) -> list[Report]:
    """Make the reports of legs of the pipeline run, after those of older ones."""
    older = [report_of(number) for number in range(3)]
    own = {"group": GROUP, "commit": "c"}
    return [*older, *(report_of(it, pipeline=own, **changes) for it in numbers)]


def kept(folder: Path, reports: Iterable[Report]) -> None:
    """Write what earlier pipelines have kept."""
    folder.mkdir()
    for number, report in enumerate(reports):
        path = folder / f"report-{number}.json"
        path.write_text(run_files.as_json(report), "utf-8")


def left(folder: Path, report: Report) -> None:
    """Write what a run leaves, in the place of what the run before has left."""
    (folder / ".hydrasmoke").mkdir(exist_ok=True)
    (folder / ".hydrasmoke" / "report.json").write_text(run_files.as_json(report), "utf-8")


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
        assert summary.read_text("utf-8").startswith(
            "## hydra-smoke history, live router: passed\n"
        )
        return said

    def on_gitlab(reports: Iterable[Report]) -> str:
        *older, newest, last = reports
        kept(tmp_path / "history", older)
        [keep] = yaml.safe_load(page_block("yaml", "CI_JOB_ID"))
        for job, report in enumerate((newest, last), 9001):
            left(tmp_path, report)
            run_shell([keep], tmp_path, commands, {"CI_JOB_ID": str(job)})
        env = {"GITLAB_CI": "true", "CI_PIPELINE_ID": GROUP}
        [said] = run_shell(["\n".join(GITLAB["script"])], tmp_path, commands, env)
        return said

    judged: Judge = {"github": on_github, "gitlab": on_gitlab}[request.param]
    return judged


@pytest.mark.examples
def test_legs_that_are_green_are_one_green_run(judge: Judge, tmp_path: Path) -> None:
    said = judge(legs(3, 4))
    assert f"runs: 4, from 5 reports; the newest, {GROUP}, passed" in said
    assert any((tmp_path / page).is_file() for page in PAGES)


@pytest.mark.examples
def test_a_leg_that_is_red_is(judge: Judge) -> None:
    with pytest.raises(AssertionError, match=f"FAILED failure: run run-3 of {GROUP}"):
        judge(legs(3, 4, exit_code=1))


@pytest.mark.examples
def test_a_leg_without_a_report_is_red_whatever_older_runs_were(judge: Judge) -> None:
    with pytest.raises(
        AssertionError, match=f"missing: group {GROUP} has 1 report, and must have 2"
    ):
        judge(legs(3))


def test_pull_requests_do_not_speak_for_the_branch() -> None:
    assert GITHUB["if"] == "github.event.workflow_run.event != 'pull_request'"
    assert "secrets." not in str(GITHUB)
    assert GITHUB["permissions"] == {"actions": "read"}
    assert read(FOLDER / "github-history.yml")["permissions"] == {}
    assert GITLAB["rules"] == [{"if": '$CI_COMMIT_REF_PROTECTED == "true"', "when": "always"}]


@pytest.mark.examples
def test_the_page_is_published_by_a_job_that_can_do_nothing_else(tmp_path: Path) -> None:
    reports = legs(3, 4, exit_code=1)
    written(tmp_path / "artifacts", reports)
    [judge] = [it for it in GITHUB["steps"] if it.get("name") == "Judge"]
    [upload] = [it for it in GITHUB["steps"] if it.get("id") == "page"]
    env = {"GROUP": GROUP, "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    with pytest.raises(AssertionError, match="FAILED failure"):
        run_shell([judge["run"]], tmp_path, stand_ins(tmp_path / "bin"), env)
    # Red, and published all the same; everybody may read what is.
    site = tmp_path / upload["with"]["path"]
    assert [it.name for it in site.iterdir()] == ["index.html"]
    assert "<h1>failure: run run-" in (site / "index.html").read_text("utf-8")
    assert stat.S_IMODE((site / "index.html").stat().st_mode) & 0o444 == 0o444
    assert upload["if"] == "always()"
    publish = WORKFLOW["publish"]
    assert publish["permissions"] == {"pages": "write", "id-token": "write"}
    assert publish["if"] == "always() && needs.history.outputs.page == 'success'"
    assert GITHUB["outputs"] == {"page": "${{ steps.page.outcome }}"}
    assert [it["uses"].partition("@")[0] for it in publish["steps"]] == ["actions/deploy-pages"]
    assert publish["environment"]["url"] == "${{ steps.deployed.outputs.page_url }}"


@pytest.mark.examples
def test_jenkins_judges_its_own_build(tmp_path: Path) -> None:
    commands = stand_ins(tmp_path / "bin")
    kept(tmp_path / "history", [report_of(number) for number in range(6)])
    steps = sh_steps(page_block("groovy", "catchError"))

    def build(number: int, **changes: object) -> str:
        env = of_a_build(number)
        own = {"group": env["BUILD_TAG"], "commit": env["GIT_COMMIT"]}
        left(tmp_path, report_of(number, pipeline=own, **changes))
        return "".join(run_shell(steps, tmp_path, commands, env))

    name = "jenkins-agents-router-smoke"
    assert f"runs: 7; the newest, {name}-7, passed" in build(7)
    assert (tmp_path / "history" / f"report-{name}-7.json").is_file()
    assert "<h1>passed: " in (tmp_path / "history.html").read_text("utf-8")
    with pytest.raises(AssertionError, match="FAILED failure: run run-8 "):
        build(8, exit_code=1)
    assert "<h1>failure: run run-" in (tmp_path / "history.html").read_text("utf-8")
    # The run has left no report of its own: the one that lies there is of a build before.
    with pytest.raises(AssertionError, match=f"missing: group {name}-9 has 0 reports"):
        run_shell(steps, tmp_path, commands, of_a_build(9))
