"""The pipeline files: their commands run here, against the fake, and they keep the rules."""

from __future__ import annotations

import json
import re
import shutil
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from blocks import run_shell, stand_ins, write_files
from pipeline_tools import (
    FOLDER,
    GITHUB,
    GITHUB_SWEEP,
    GITLAB,
    JENKINS,
    PAGES,
    Job,
    github,
    gitlab,
    jenkins,
    of_a_build,
    page_block,
    page_file,
    read,
    sh_steps,
)
from plugin_tools import TOKEN

from pytest_hydrasmoke import HydraSmokeConfig, InstanceSpec, SmokeClient
from pytest_hydrasmoke.fake import FakeRouter

SPEC = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")


def github_leg(number: int, attempt: str = "2") -> Job:
    """Return the live job of the workflow in one leg of its matrix."""
    leg = read(GITHUB)["jobs"]["live"]["strategy"]["matrix"]["include"][number]
    return github(
        "live",
        **{
            "github.run_id": "17123456789",
            "github.run_attempt": attempt,
            "secrets.HYDRA_SMOKE_TOKEN": TOKEN,
            **{f"matrix.{name}": value for name, value in leg.items()},
        },
    )


LIVE = {
    "github": github_leg(0),
    "gitlab": gitlab("smoke-live", CI_PIPELINE_ID="1234567", CI_JOB_ID="98765432"),
    "jenkins": jenkins(BUILD_NUMBER="4711"),
    "github on the page": github(
        "live",
        page_file(".github/workflows/smoke.yml"),
        **{
            "github.run_id": "17123456789",
            "github.run_attempt": "2",
            "secrets.HYDRA_SMOKE_TOKEN": TOKEN,
        },
    ),
    "gitlab on the page": gitlab(
        "smoke", 0, page_file(".gitlab-ci.yml"), CI_PIPELINE_ID="1234567", CI_JOB_ID="98765432"
    ),
    "jenkins on the page": jenkins(page_file("Jenkinsfile"), BUILD_NUMBER="4711"),
}
FAKE = {"github": github("fake"), "gitlab": gitlab("smoke-fake")}


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """Return the commands that a pipeline installs; a sweep asks for no longer than it must."""
    folder = stand_ins(tmp_path / "bin")
    sweep = folder / "hydra-smoke"
    text = sweep.read_text("utf-8")
    waits = 'if [ "$1" = sweep ]; then set -- "$@" --wait 0.3; fi'
    sweep.write_text(text.replace("exec", f"{waits}\nexec", 1), "utf-8")
    return folder


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


@pytest.mark.examples
@pytest.mark.parametrize("name", LIVE)
def test_a_live_job_passes_and_leaves_nothing(
    name: str, router: FakeRouter, commands: Path, tmp_path: Path
) -> None:
    job = LIVE[name]
    folder = tmp_path / "checkout"
    folder.mkdir()
    if "page" in name:
        # What to test is in the repository.
        assert not any("TIER" in variable for variable in job.env)
        write_files(PAGES / "pipeline.md", folder)
    run(job.commands, folder, commands, aimed(job, router))
    assert router.instances
    assert all(it.deleted for it in router.instances)
    assert (folder / "smoke.xml").is_file() == any("smoke.xml" in it for it in job.commands)
    assert (folder / ".hydrasmoke" / "report.json").is_file()
    assert job.sweep is not None
    said = run([job.sweep], folder, commands, aimed(job, router))
    # A step of Jenkins echoes its command.
    assert f"nothing was found of run {job.env['HYDRA_SMOKE_RUN_ID']}: " in said
    # A runner that was lost has left an instance, and nothing here.
    shutil.rmtree(folder / ".hydrasmoke")
    key = f"{job.env['HYDRA_SMOKE_RUN_ID']}-3"
    with SmokeClient(router.url, token=TOKEN) as client:
        client.provision(SPEC, key)
    said = run([job.sweep], folder, commands, aimed(job, router))
    assert "nothing else was found of run " in said
    assert all(it.deleted for it in router.instances)
    assert key in {it.idempotency_key for it in router.instances}


@pytest.mark.examples
@pytest.mark.parametrize(
    ("variables", "branch"),
    [
        ({}, "origin/main"),
        ({"BRANCH_NAME": "main"}, "main"),
        (
            {
                "BRANCH_NAME": "PR-7",
                "CHANGE_ID": "7",
                "CHANGE_BRANCH": "patch-1",
                "CHANGE_TARGET": "main",
                "CHANGE_FORK": "stranger",
            },
            "patch-1",
        ),
    ],
    ids=["pipeline", "multibranch", "change"],
)
def test_a_build_of_jenkins_runs_its_steps_and_those_of_its_history(
    router: FakeRouter,
    commands: Path,
    tmp_path: Path,
    variables: Mapping[str, str],
    branch: str,
) -> None:
    folder = tmp_path / "workspace"
    folder.mkdir()
    # The checks lie in this project, whose conftest takes a run out of its pipeline.
    (folder / "test_it.py").write_text("def test_it(smoke_instance): ...\n", "utf-8")
    keep, judge = sh_steps(page_block("groovy", "catchError"))
    for number in (4711, 4712):
        build = of_a_build(number, **variables)
        job = jenkins(**build)
        env = {**build, **aimed(job, router), "HYDRA_SMOKE_BUNDLED_CHECKS": "false"}
        # The workspace stays: `python3 -m venv` may find what it has made.
        install, *tests = job.commands
        first = [install] if number == 4711 else []
        assert job.sweep is not None
        said = run([*first, *tests, keep, judge, job.sweep], folder, commands, env)
        assert "nothing was found of run " in said
        report = json.loads((folder / ".hydrasmoke" / "report.json").read_text("utf-8"))
        assert report["pipeline"] == {
            "group": build["BUILD_TAG"],
            "job": None,
            "attempt": None,
            "commit": build["GIT_COMMIT"],
            "branch": branch,
            "url": build["BUILD_URL"],
        }
    assert f"runs: 2; the newest, {build['BUILD_TAG']}, passed" in said
    assert "0a1b2c3" in (folder / "history.html").read_text("utf-8")


@pytest.mark.examples
def test_the_cells_of_a_jenkins_matrix_run_and_sweep_by_their_own_ids(
    router: FakeRouter, commands: Path, tmp_path: Path
) -> None:
    cells = page_block("groovy", "axes")
    [(axis, values)] = re.findall(r"axis \{ name '(\w+)'; values ([^}]*) \}", cells)
    [run_id] = re.findall(r'HYDRA_SMOKE_RUN_ID = "([^"]*)"', cells)
    for value in re.findall("'([^']*)'", values):
        build = of_a_build(4711, **{axis: value})
        own = string.Template(run_id).substitute(build)
        env = {**build, **aimed(jenkins(**build), router), "HYDRA_SMOKE_RUN_ID": own}
        said = run(sh_steps(cells), tmp_path / value, commands, env)
        assert "nothing was found of run " in said
        assert any(str(it.idempotency_key).startswith(f"{own}-") for it in router.instances)
    assert all(it.deleted for it in router.instances)


@pytest.mark.examples
@pytest.mark.parametrize("name", FAKE)
def test_what_strangers_propose_runs_on_the_fake(name: str, commands: Path, tmp_path: Path) -> None:
    job = FAKE[name]
    said = run(job.commands, tmp_path / "checkout", commands, {})
    assert "fake router" in said
    assert job.sweep is None


@pytest.mark.parametrize("name", LIVE)
def test_a_run_id_is_valid_and_names_its_leg(name: str) -> None:
    assert HydraSmokeConfig(run_id=LIVE[name].env["HYDRA_SMOKE_RUN_ID"])


def test_no_secret_is_given_to_a_job_on_the_fake() -> None:
    assert not any("TOKEN" in variable for it in FAKE.values() for variable in it.env)


def test_a_run_id_is_another_one_in_each_attempt_job_and_leg() -> None:
    jobs = [github_leg(number, attempt) for number in (0, 1) for attempt in ("1", "2")]
    # A job's id is another one in each leg, and after each retry.
    jobs += [
        gitlab("smoke-live", leg, CI_PIPELINE_ID="1234567", CI_JOB_ID=job)
        for leg, job in ((0, "1"), (0, "2"), (1, "3"), (1, "4"))
    ]
    jobs += [jenkins(BUILD_NUMBER=number) for number in ("4711", "4712")]
    assert len({job.env["HYDRA_SMOKE_RUN_ID"] for job in jobs}) == len(jobs)
    assert "-live-" in jobs[0].env["HYDRA_SMOKE_RUN_ID"]


@pytest.mark.parametrize("name", LIVE)
def test_the_sweep_of_each_job_names_that_jobs_run(name: str) -> None:
    sweep = 'hydra-smoke sweep --run-id "$HYDRA_SMOKE_RUN_ID"'
    assert LIVE[name].sweep == (sh_steps(f"sh '{sweep}'")[0] if "jenkins" in name else sweep)


def test_the_cells_and_shards_on_the_pages_have_run_ids_of_their_own() -> None:
    """What is shown for a matrix has its axis in the run id, and a sweep of that run id."""
    shards = page_block("yaml", "shard:")
    assert yaml.safe_load(shards)["env"]["HYDRA_SMOKE_RUN_ID"].endswith("-${{ matrix.shard }}")
    cells = page_block("groovy", "axes")
    axis = re.findall(r"axis \{ name '(\w+)'", cells)
    assert len(axis) == 1
    assert re.search(rf'RUN_ID = "\S*\$\{{BUILD_NUMBER\}}-\$\{{{axis[0]}\}}"', cells)
    for text in (shards, cells):
        assert 'hydra-smoke sweep --run-id "$HYDRA_SMOKE_RUN_ID"' in text


PIPELINES = [*sorted(FOLDER.iterdir()), PAGES / "pipeline.md"]


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.name)
def test_pytest_is_the_entry_process_and_no_token_is_written_down(path: Path) -> None:
    text = path.read_text("utf-8")
    # What a person types into a shell is on the page, too.
    for line in re.findall(r"^(?!\$).*\bpytest --.*$", text, re.MULTILINE):
        assert "exec pytest --hydra-smoke" in line
    for value in re.findall(r"HYDRA_SMOKE_TOKEN *[:=] *(.+)", text):
        assert value in ("${{ secrets.HYDRA_SMOKE_TOKEN }}", "credentials('hydra-smoke-token')")


def test_every_job_has_a_time_limit_and_the_sweep_its_share() -> None:
    for job in (*read(GITHUB)["jobs"].values(), *read(GITHUB_SWEEP)["jobs"].values()):
        assert job["timeout-minutes"]
    steps = {it["run"]: it for it in read(GITHUB)["jobs"]["live"]["steps"] if "run" in it}
    live = "exec pytest --hydra-smoke --junit-xml=smoke.xml --pyargs pytest_hydrasmoke.checks"
    tests = steps[live]
    sweep = steps['hydra-smoke sweep --run-id "$HYDRA_SMOKE_RUN_ID"']
    assert sweep["if"] == "always()"
    whole = read(GITHUB)["jobs"]["live"]["timeout-minutes"]
    assert tests["timeout-minutes"] + sweep["timeout-minutes"] < whole
    for name, job in read(GITLAB).items():
        assert name in ("stages", ".python") or job["timeout"]
    assert JENKINS.read_text("utf-8").count("timeout(time: ") == 3


GITHUBS = (GITHUB.read_text("utf-8"), page_file(".github/workflows/smoke.yml"))


@pytest.mark.parametrize("workflow", GITHUBS, ids=["complete", "page"])
def test_a_run_on_github_ends_before_its_runner_kills_it(workflow: str) -> None:
    job = yaml.safe_load(workflow)["jobs"]["live"]
    [tests] = [it for it in job["steps"] if it.get("run", "").startswith("exec pytest")]
    assert int(job["env"]["HYDRA_SMOKE_DEADLINE"]) < 60 * tests["timeout-minutes"]
    assert tests["timeout-minutes"] < job["timeout-minutes"]


@pytest.mark.parametrize(
    "job",
    [read(GITLAB)["smoke-live"], yaml.safe_load(page_file(".gitlab-ci.yml"))["smoke"]],
    ids=["complete", "page"],
)
def test_a_run_on_gitlab_ends_before_its_runner_kills_it(job: dict[str, Any]) -> None:
    variables = job["variables"]
    limit = int(variables["RUNNER_SCRIPT_TIMEOUT"].removesuffix("m"))
    assert int(variables["HYDRA_SMOKE_DEADLINE"]) < 60 * limit
    assert limit < int(job["timeout"].removesuffix(" minutes"))
    assert job["rules"] == [{"if": '$CI_COMMIT_REF_PROTECTED == "true"'}]


@pytest.mark.parametrize(
    "text", [JENKINS.read_text("utf-8"), page_file("Jenkinsfile")], ids=["complete", "page"]
)
def test_a_run_on_jenkins_ends_before_its_runner_kills_it(text: str) -> None:
    [deadline] = re.findall(r"HYDRA_SMOKE_DEADLINE = '(\d+)'", text)
    assert f"timeout(time: {int(deadline) // 60 + 1}, unit: 'MINUTES')" in text


@pytest.mark.parametrize("workflow", GITHUBS, ids=["complete", "page"])
def test_secrets_are_given_to_no_step_but_those_that_need_them(workflow: str) -> None:
    for job in yaml.safe_load(workflow)["jobs"].values():
        assert "secrets." not in str(job.get("env", {}))
        assert job["timeout-minutes"]
    assert "pull_request_target" not in workflow


def test_the_jobs_of_gitlab_share_the_pipelines_among_them() -> None:
    live, fake = (read(GITLAB)[name]["rules"] for name in ("smoke-live", "smoke-fake"))
    assert live == [{"if": '$CI_COMMIT_REF_PROTECTED == "true"'}]
    assert fake == [{"if": '$CI_COMMIT_REF_PROTECTED != "true"'}]


@pytest.mark.examples
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
    pages = "".join(page.read_text("utf-8") for page in PAGES.glob("*.md"))
    for file in FOLDER.iterdir():
        assert f"{{literalinclude}} ../../examples/pipelines/{file.name}" in pages
