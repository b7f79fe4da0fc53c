"""What a pipeline file does, taken out of it: enough to run its commands on this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from shown import ROOT

FOLDER = ROOT / "examples" / "pipelines"
GITHUB = FOLDER / "github-actions.yml"
GITHUB_SWEEP = FOLDER / "github-nightly-sweep.yml"
GITLAB = FOLDER / "gitlab-ci.yml"
JENKINS = FOLDER / "Jenkinsfile"


@dataclass(frozen=True)
class Job:
    """One job: its settings, the commands up to the tests, and the one that always runs."""

    env: Mapping[str, str]
    commands: list[str]
    sweep: str | None


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return content


def github(name: str, **context: str) -> Job:
    """Return a job of the workflow, with the values of the expressions that it uses."""
    job = read(GITHUB)["jobs"][name]

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


def gitlab(name: str, leg: int = 0, **variables: str) -> Job:
    """Return a job with the variables that a runner sets, and those of a leg of its matrix."""
    whole = read(GITLAB)
    job = {**whole[whole[name]["extends"]], **whole[name]}
    legs = job.get("parallel", {}).get("matrix", [{}])
    given = {**variables, **legs[leg]}
    env = {
        name: re.sub(r"\$(\w+)", lambda found: given[found[1]], str(value))
        for name, value in {**job.get("variables", {}), **given}.items()
    }
    after = job.get("after_script", [])
    return Job(env, [*job["before_script"], *job["script"]], "\n".join(after) or None)


def jenkins(**variables: str) -> Job:
    text = JENKINS.read_text("utf-8")
    quoted = re.findall(r"^ +(\w+) = (?:'([^']*)'|\"([^\"]*)\")$", text, re.MULTILINE)
    env = {
        name: re.sub(r"\$\{(\w+)\}", lambda found: variables[found[1]], plain or filled)
        for name, plain, filled in quoted
        if name != "PATH"
    }
    *commands, sweep = re.findall(r"sh '([^']*)'", text)
    return Job(env, commands, sweep)
