"""Which pipeline run a report says that it is of, by the variables of each kind of pipeline."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke._report.model import PipelineReport
from pytest_hydrasmoke._report.pipeline import own_group, pipeline_of, web_address

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://git.example",
    "GITHUB_REPOSITORY": "team/agents",
    "GITHUB_RUN_ID": "77",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_JOB": "smoke",
    "GITHUB_SHA": "0a1b2c",
    "GITHUB_REF_NAME": "main",
    "GITHUB_HEAD_REF": "",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_PIPELINE_ID": "78",
    "CI_PIPELINE_URL": "https://lab.example/team/agents/-/pipelines/78",
    "CI_JOB_NAME": "smoke 1/3",
    "CI_JOB_ID": "9001",
    "CI_COMMIT_SHA": "0a1b2c",
    "CI_COMMIT_REF_NAME": "main",
}
JENKINS = {
    "JENKINS_URL": "https://jenkins.example/",
    "BUILD_TAG": "jenkins-agents-79",
    "BUILD_URL": "https://jenkins.example/job/agents/79/",
    "GIT_COMMIT": "0a1b2c",
    "GIT_BRANCH": "origin/main",
    "BRANCH_NAME": "main",
}


def test_github() -> None:
    found = pipeline_of(GITHUB, None, "r")
    url = "https://git.example/team/agents/actions/runs/77"
    assert found == PipelineReport(
        group="77", job="smoke", attempt=2, commit="0a1b2c", branch="main", url=url
    )
    of_a_fork = GITHUB | {"GITHUB_HEAD_REF": "patch-1", "GITHUB_REF_NAME": "7/merge"}
    assert pipeline_of(of_a_fork, None, "r").branch == "patch-1"


def test_gitlab() -> None:
    found = pipeline_of(GITLAB, None, "r")
    url = "https://lab.example/team/agents/-/pipelines/78"
    assert found == PipelineReport(
        group="78", job="smoke 1/3", attempt=9001, commit="0a1b2c", branch="main", url=url
    )
    of_a_fork = GITLAB | {"CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "patch-1"}
    assert pipeline_of(of_a_fork, None, "r").branch == "patch-1"


def test_jenkins() -> None:
    found = pipeline_of(JENKINS, None, "r")
    url = "https://jenkins.example/job/agents/79/"
    assert found == PipelineReport(
        group="jenkins-agents-79", commit="0a1b2c", branch="main", url=url
    )
    assert pipeline_of(JENKINS | {"CHANGE_BRANCH": "patch-1"}, None, "r").branch == "patch-1"
    no_address = {"JENKINS_HOME": "/var/jenkins_home", "BUILD_TAG": "jenkins-agents-79"}
    assert pipeline_of(no_address, None, "r") == PipelineReport(group="jenkins-agents-79")
    assert own_group({"JENKINS_HOME": "/var/jenkins_home"}) is None


def test_a_group_that_is_set_comes_first_and_without_a_pipeline_the_run_is_alone() -> None:
    assert pipeline_of(GITHUB, "nightly", "r").group == "nightly"
    assert pipeline_of({}, None, "r") == PipelineReport(group="r")
    assert pipeline_of({}, "nightly", "r").group == "nightly"
    assert own_group({}) is None
    assert own_group(GITLAB) == "78"


def test_what_a_fork_chooses_is_text_and_bounded() -> None:
    words = "\x1b]0;x\x07\n::error::gone\u202e" + "x" * 10_000
    hostile = dict.fromkeys(GITHUB, words)
    found = pipeline_of(hostile, None, "r")
    for name in (found.group, found.job, found.commit, found.branch):
        assert name is not None
        assert name.isprintable()
        assert len(name) < 1_500
    assert found.attempt is None
    assert found.url is None


@pytest.mark.parametrize("number", ["", "-1", "1.5", "\u0664", "9" * 16, "9" * 5000])
def test_an_attempt_that_is_no_number_is_none(number: str) -> None:
    assert pipeline_of(GITHUB | {"GITHUB_RUN_ATTEMPT": number}, None, "r").attempt is None


@pytest.mark.parametrize(
    "url",
    [
        *("javascript:alert(1)", "//elsewhere.example", "data:text/html,x", "https://", "x", ""),
        *("https://user:secret@router.example/", "https://[half", "https://a.example/\u202e"),
        *("https://a.example/ b", "https://a.example/\n", "https://a.example/" + "x" * 1_000),
    ],
)
def test_what_no_page_may_link_to_is_no_address(url: str) -> None:
    assert web_address(url) is None
    assert web_address("http://ci.example:8080/job/1?x=1#y") == "http://ci.example:8080/job/1?x=1#y"
