"""What a pipeline file does, taken out of it: enough to run its commands on this machine."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from blocks import blocks
from shown import ROOT

FOLDER = ROOT / "examples" / "pipelines"
GITHUB = FOLDER / "github-actions.yml"
GITHUB_SWEEP = FOLDER / "github-nightly-sweep.yml"
GITLAB = FOLDER / "gitlab-ci.yml"
JENKINS = FOLDER / "Jenkinsfile"
PAGES = ROOT / "docs" / "pipelines"


@dataclass(frozen=True)
class Job:
    """One job: its settings, the commands up to the tests, and the one that always runs."""

    env: Mapping[str, str]
    commands: list[str]
    sweep: str | None


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return content


def github(name: str, workflow: str | None = None, **context: str) -> Job:
    """Return a job of the workflow, with the values of the expressions that it uses."""
    job = yaml.safe_load(workflow or GITHUB.read_text("utf-8"))["jobs"][name]

    def filled(text: object) -> str:
        return re.sub(r"\$\{\{ (\S+) \}\}", lambda found: context[found[1]], str(text))

    steps = [step for step in job["steps"] if "run" in step]
    env: dict[str, str] = dict(job.get("env", {}))
    for step in steps:
        env |= step.get("env", {})
    always = [step["run"] for step in steps if step.get("if") == "always()"]
    return Job(
        {name: filled(value) for name, value in env.items()},
        [step["run"] for step in steps if "if" not in step],
        always[0] if always else None,
    )


def gitlab(name: str, leg: int = 0, pipeline: str | None = None, **variables: str) -> Job:
    """Return a job with the variables that a runner sets, and those of a leg of its matrix."""
    whole = yaml.safe_load(pipeline or GITLAB.read_text("utf-8"))
    job = {**whole.get(whole[name].get("extends"), {}), **whole[name]}
    legs = job.get("parallel", {}).get("matrix", [{}])
    given = {**variables, **legs[leg]}
    env = {
        name: re.sub(r"\$(\w+)", lambda found: given[found[1]], str(value))
        for name, value in {**job.get("variables", {}), **given}.items()
    }
    after = job.get("after_script", [])
    return Job(env, [*job["before_script"], *job["script"]], "\n".join(after) or None)


def jenkins(pipeline: str | None = None, **variables: str) -> Job:
    text = pipeline or JENKINS.read_text("utf-8")
    quoted = re.findall(r"^ +(\w+) = (?:'([^']*)'|\"([^\"]*)\")$", text, re.MULTILINE)
    env = {
        name: re.sub(r"\$\{(\w+)\}", lambda found: variables[found[1]], plain or filled)
        for name, plain, filled in quoted
        if name != "PATH"
    }
    *commands, sweep = sh_steps(text)
    return Job(env, commands, sweep)


def sh_steps(groovy: str) -> list[str]:
    """Return the commands of a Jenkinsfile's `sh` steps, each as a shell of its own runs it."""
    return [f"sh -xe -c {shlex.quote(it)}" for it in re.findall(r"sh '([^']*)'", groovy)]


def of_a_build(number: int, **others: str) -> dict[str, str]:
    """Return the variables that Jenkins sets in a build of a pipeline that is in a folder."""
    job = "agents/router-smoke"
    url = f"https://jenkins.example/job/agents/job/router-smoke/{number}/"
    return {
        "JENKINS_URL": "https://jenkins.example/",
        "JENKINS_HOME": "/var/jenkins_home",
        "JOB_NAME": job,
        "JOB_BASE_NAME": "router-smoke",
        "BUILD_NUMBER": str(number),
        "BUILD_ID": str(number),
        "BUILD_TAG": f"jenkins-{job.replace('/', '-')}-{number}",
        "BUILD_URL": url,
        "GIT_COMMIT": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
        "GIT_BRANCH": "origin/main",
        "EXECUTOR_NUMBER": "0",
        "NODE_NAME": "linux-1",
        **others,
    }


def page_file(name: str) -> str:
    """Return a pipeline that the page shows whole."""
    [block] = [it for it in blocks(PAGES / "pipeline.md") if it.name == name]
    return block.text


def page_block(language: str, holding: str) -> str:
    """Return the one block of the page on many runs that is in a language, and holds a word."""
    found = [it for it in blocks(PAGES / "many-runs.md") if it.language == language]
    [block] = [it for it in found if holding in it.text]
    return block.text
