"""Which pipeline run a report says that it is of, by the variables of each kind of pipeline."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke._report.model import PipelineReport
from pytest_hydrasmoke._report.pipeline import own_group, pipeline_of, web_address

RUN = "https://git.example/team/agents/actions/runs/77"
PIPELINE = "https://lab.example/team/agents/-/pipelines/78"
BUILD = "https://jenkins.example/job/agents/79/"
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
    "CI_PIPELINE_URL": PIPELINE,
    "CI_JOB_NAME": "smoke 1/3",
    "CI_JOB_ID": "9001",
    "CI_COMMIT_SHA": "0a1b2c",
    "CI_COMMIT_REF_NAME": "main",
}
JENKINS = {
    "JENKINS_URL": "https://jenkins.example/",
    "BUILD_TAG": "agents-79",
    "BUILD_URL": BUILD,
    "GIT_COMMIT": "0a1b2c",
    "GIT_BRANCH": "origin/main",
    "BRANCH_NAME": "main",
}
NO_ADDRESS = {"JENKINS_HOME": "/var/jenkins_home", "BUILD_TAG": "agents-79"}


@pytest.mark.parametrize(
    ("environ", "facts", "of_a_fork"),
    [
        (
            GITHUB,
            {"group": "77", "job": "smoke", "attempt": 2, "url": RUN},
            {"GITHUB_HEAD_REF": "patch-1", "GITHUB_REF_NAME": "7/merge"},
        ),
        (
            GITLAB,
            {"group": "78", "job": "smoke 1/3", "attempt": 9001, "url": PIPELINE},
            {"CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "patch-1"},
        ),
        (JENKINS, {"group": "agents-79", "url": BUILD}, {"CHANGE_BRANCH": "patch-1"}),
    ],
    ids=["github", "gitlab", "jenkins"],
)
def test_a_pipeline(
    environ: dict[str, str], facts: dict[str, object], of_a_fork: dict[str, str]
) -> None:
    found = pipeline_of(environ, None, "r")
    assert found == PipelineReport.model_validate(facts | {"commit": "0a1b2c", "branch": "main"})
    assert pipeline_of(environ | of_a_fork, None, "r").branch == "patch-1"
    assert own_group(environ) == facts["group"]
    assert pipeline_of(environ, "nightly", "r").group == "nightly", "what is set comes first"


def test_a_controller_may_not_know_its_address_and_a_run_may_be_alone() -> None:
    assert pipeline_of(NO_ADDRESS, None, "r") == PipelineReport(group="agents-79")
    multibranch = {**JENKINS, "BRANCH_NAME": ""}
    assert pipeline_of(multibranch, None, "r").branch == "origin/main"
    for nowhere in ({}, {"JENKINS_HOME": "/var/jenkins_home"}):
        assert pipeline_of(nowhere, None, "r") == PipelineReport(group="r")
        assert own_group(nowhere) is None


def test_what_a_fork_chooses_is_text_and_bounded() -> None:
    words = "\x1b]0;x\x07\n::error::gone\u202e" + "x" * 10_000
    found = pipeline_of(dict.fromkeys(GITHUB, words), None, "r")
    for name in (found.group, found.job, found.commit, found.branch):
        assert name is not None
        assert name.isprintable()
        assert len(name) < 1_500
    assert (found.attempt, found.url) == (None, None)


def test_an_attempt_that_is_no_number_is_none() -> None:
    for number in ("", "-1", "1.5", "\u0664", "9" * 16, "9" * 5000):
        assert pipeline_of(GITHUB | {"GITHUB_RUN_ATTEMPT": number}, None, "r").attempt is None


def test_what_no_page_may_link_to_is_no_address() -> None:
    for url in (
        *("javascript:alert(1)", "//elsewhere.example", "data:text/html,x", "https://", "x", ""),
        *("https://user:secret@router.example/", "https://[half", "https://a.example/\u202e"),
        *("https://a.example/ b", "https://a.example/\n", "https://a.example/" + "x" * 1_000),
    ):
        assert web_address(url) is None
    good = "http://ci.example:8080/job/1?x=1#y"
    assert web_address(good) == good
