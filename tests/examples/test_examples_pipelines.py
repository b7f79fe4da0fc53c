"""The pipeline files: their commands run here, against the fake, and they keep the rules."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from blocks import run_shell, stand_ins
from pipeline_tools import (
    FOLDER,
    GITHUB,
    GITHUB_SWEEP,
    GITLAB,
    JENKINS,
    Job,
    github,
    gitlab,
    jenkins,
    read,
)
from shown import ROOT

from pytest_hydrasmoke import InstanceSpec, SmokeClient
from pytest_hydrasmoke.fake import FakeRouter, Scenario

TOKEN = "a-made-up-token-of-pipelines"
SPEC = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
RUN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

LIVE = {
    "github": github(
        "live",
        **{
            "github.run_id": "17123456789",
            "github.run_attempt": "2",
            "matrix.leg": "basic-eu",
            "matrix.region": "eu-central",
            "matrix.tier": "00000000-0000-4000-8000-000000000001",
            "secrets.HYDRA_SMOKE_TOKEN": TOKEN,
        },
    ),
    "gitlab": gitlab("smoke-live", CI_PIPELINE_ID="1234567", CI_JOB_ID="98765432"),
    "jenkins": jenkins(BUILD_NUMBER="4711"),
}
FAKE = {"github": github("fake"), "gitlab": gitlab("smoke-fake")}


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """Give the commands that a pipeline installs; a sweep asks for no longer than it must."""
    folder = stand_ins(tmp_path / "bin")
    sweep = folder / "hydra-smoke"
    text = sweep.read_text("utf-8")
    sweep.write_text(text.replace('"$@"', '"$@" --wait 0.3'), "utf-8")
    return folder


@pytest.fixture
def router() -> Iterator[FakeRouter]:
    with FakeRouter(Scenario(row_after=0, statuses=((0, "running"),)), TOKEN) as served:
        yield served


def run(commands: list[str], folder: Path, stand_ins: Path, env: Mapping[str, str]) -> str:
    """Run each as a step, in a shell of its own: `exec` ends it."""
    folder.mkdir(exist_ok=True)
    env = {
        **env,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_PLUGINS": "pytest_hydrasmoke.plugin",
    }
    return "".join(run_shell([command], folder, stand_ins, env)[0] for command in commands)


def aimed(job: Job, router: FakeRouter) -> dict[str, str]:
    return {**job.env, "HYDRA_SMOKE_URL": router.url, "HYDRA_SMOKE_TOKEN": TOKEN}


FULL = os.environ.get("HYDRA_EXAMPLES_FULL") == "1"
heavy = pytest.mark.skipif(not FULL, reason="takes seconds: tox -e examples")


@pytest.mark.parametrize(
    "name", ["github", *(pytest.param(it, marks=heavy) for it in ("gitlab", "jenkins"))]
)
def test_a_live_job_passes_and_leaves_nothing(
    name: str, router: FakeRouter, commands: Path, tmp_path: Path
) -> None:
    job = LIVE[name]
    folder = tmp_path / "checkout"
    run(job.commands, folder, commands, aimed(job, router))
    assert router.instances
    assert all(it.deleted for it in router.instances)
    assert (folder / "smoke.xml").is_file()
    assert (folder / ".hydrasmoke" / "report.json").is_file()
    # A runner that was lost has left an instance, and no ledger here.
    key = f"{job.env['HYDRA_SMOKE_RUN_ID']}-3"
    with SmokeClient(router.url, token=TOKEN) as client:
        client.provision(SPEC, key)
    assert job.sweep is not None
    said = run([job.sweep], folder, commands, aimed(job, router))
    assert said.endswith("nothing is left\n")
    assert all(it.deleted for it in router.instances)
    assert key in {it.idempotency_key for it in router.instances}


@heavy
@pytest.mark.parametrize("name", FAKE)
def test_what_strangers_propose_runs_on_the_fake(name: str, commands: Path, tmp_path: Path) -> None:
    job = FAKE[name]
    said = run(job.commands, tmp_path / "checkout", commands, {})
    assert "fake router" in said
    assert job.sweep is None


@pytest.mark.parametrize("name", LIVE)
def test_a_run_id_is_valid_and_names_its_leg(name: str) -> None:
    assert RUN_ID.fullmatch(LIVE[name].env["HYDRA_SMOKE_RUN_ID"])


def test_no_secret_is_given_to_a_job_on_the_fake() -> None:
    assert not any("TOKEN" in variable for it in FAKE.values() for variable in it.env)


def test_a_run_id_is_another_one_in_each_attempt_job_and_leg() -> None:
    live = read(GITHUB)["jobs"]["live"]["env"]["HYDRA_SMOKE_RUN_ID"]
    for part in ("github.run_id", "github.run_attempt", "-live-", "matrix.leg"):
        assert part in live
    variables = read(GITLAB)["smoke-live"]["variables"]
    assert variables["HYDRA_SMOKE_RUN_ID"] == "gl-$CI_PIPELINE_ID-$CI_JOB_ID-$LEG"


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_pytest_is_the_entry_process_and_no_token_is_written_down(path: Path) -> None:
    text = path.read_text("utf-8")
    for line in re.findall(r"^.*\bpytest --.*$", text, re.MULTILINE):
        assert "exec pytest --hydra-smoke" in line
    for value in re.findall(r"HYDRA_SMOKE_TOKEN *[:=] *(.+)", text):
        assert value in ("${{ secrets.HYDRA_SMOKE_TOKEN }}", "credentials('hydra-smoke-token')")


def test_every_job_has_a_time_limit_and_the_sweep_its_share() -> None:
    for job in (*read(GITHUB)["jobs"].values(), *read(GITHUB_SWEEP)["jobs"].values()):
        assert job["timeout-minutes"]
    steps = {it["run"]: it for it in read(GITHUB)["jobs"]["live"]["steps"] if "run" in it}
    tests = steps["exec pytest --hydra-smoke --junit-xml=smoke.xml"]
    sweep = steps['hydra-smoke sweep --run-id "$HYDRA_SMOKE_RUN_ID"']
    assert sweep["if"] == "always()"
    whole = read(GITHUB)["jobs"]["live"]["timeout-minutes"]
    assert tests["timeout-minutes"] + sweep["timeout-minutes"] < whole
    for name, job in read(GITLAB).items():
        assert name in ("stages", ".python") or job["timeout"]
    assert JENKINS.read_text("utf-8").count("timeout(time: ") == 3


def test_secrets_are_given_to_no_step_but_those_that_need_them() -> None:
    for job in read(GITHUB)["jobs"].values():
        assert "secrets." not in str(job.get("env", {}))
    assert "pull_request_target" not in GITHUB.read_text("utf-8")


def test_the_jobs_of_gitlab_share_the_pipelines_among_them() -> None:
    live, fake = (read(GITLAB)[name]["rules"] for name in ("smoke-live", "smoke-fake"))
    assert live == [{"if": '$CI_COMMIT_REF_PROTECTED == "true"'}]
    assert fake == [{"if": '$CI_COMMIT_REF_PROTECTED != "true"'}]


@heavy
def test_the_nightly_sweep_finds_what_each_leg_of_each_attempt_left(
    router: FakeRouter, commands: Path, tmp_path: Path
) -> None:
    [job] = read(GITHUB_SWEEP)["jobs"].values()
    legs = read(GITHUB)["jobs"]["live"]["strategy"]["matrix"]["include"]
    assert job["env"]["LEGS"] == " ".join(f"live-{it['leg']}" for it in legs)
    (commands / "gh").write_text("#!/bin/sh\necho 101 2\n", "utf-8")
    (commands / "gh").chmod(0o755)
    with SmokeClient(router.url, token=TOKEN) as client:
        client.provision(SPEC, "gh-101-1-live-large-us-0")
        client.provision(SPEC, "gh-101-2-live-basic-eu-1")
    env = {"LEGS": job["env"]["LEGS"], "GITHUB_REPOSITORY": "team/router", "GH_TOKEN": "x"}
    aim = {"HYDRA_SMOKE_URL": router.url, "HYDRA_SMOKE_TOKEN": TOKEN}
    scripts = [step["run"] for step in job["steps"] if "run" in step]
    run(scripts, tmp_path / "checkout", commands, {**env, **aim})
    assert len(router.instances) == 2
    assert all(it.deleted for it in router.instances)


def test_every_file_is_on_a_page() -> None:
    pages = "".join(page.read_text("utf-8") for page in ROOT.glob("docs/how-to/*.md"))
    for file in FOLDER.iterdir():
        assert f"{{literalinclude}} ../../examples/pipelines/{file.name}" in pages
