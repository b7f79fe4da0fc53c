"""The commands that a run prints work when they are pasted into its own shell and folder."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from inner import ALONE, only, without_others
from plugin_tools import TOKEN, Project

from pytest_hydrasmoke.fake import FakeRouter

TEST = "def test_one(smoke_instance): assert smoke_instance.id"
SPEC = {"manifest_id": "made-up", "region_id": "nowhere", "tier_id": "tier-1", "delete_timeout": 5}


@pytest.fixture
def service(project: Project, router: FakeRouter) -> Project:
    """A service with its settings in a table, below a folder that has none."""
    lines = {**SPEC, "url": router.url}
    table = "\n".join(f"{name} = {json.dumps(value)}" for name, value in lines.items())
    project.write("my services/a/pyproject.toml", f"[tool.hydra-smoke]\n{table}\n")
    project.write("my services/a/test_a.py", TEST)
    return project


def printed(result: pytest.RunResult) -> tuple[str, str]:
    """Return the commands of the summary that attach to an instance and delete it."""
    lines = [line.strip() for line in result.outlines]
    (attach,) = [line for line in lines if line.startswith("attach: ")]
    (delete,) = [line for line in lines if line.startswith("delete: ")]
    return attach.removeprefix("attach: "), delete.removeprefix("delete: ")


def paste(command: str, folder: Path) -> str:
    """Run a command in a shell, and return its output; it must succeed."""
    # As it is pasted, pytest loads what is installed: here it is this plugin alone.
    env = {name: value for name, value in os.environ.items() if name != ALONE[0]}
    env["PYTEST_ADDOPTS"] = shlex.join(without_others())
    # Keys without a row are not waited for.
    command = command.replace("hydra-smoke sweep", "hydra-smoke sweep --wait 0.1")
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sweep_of(service: Project, run_id: str) -> str:
    home, output = f"{service.path}/my services/a", f"{service.path}/.hydrasmoke"
    return f"cd '{home}' && hydra-smoke sweep --run-id {run_id} --output {output}"


def alive(router: FakeRouter) -> int:
    return sum(not instance.deleted for instance in router.instances)


def work(result: pytest.RunResult, router: FakeRouter) -> tuple[str, str]:
    """Paste both commands of a run that kept an instance, and return them."""
    attach, delete = printed(result)
    elsewhere = Path("/")
    assert "attached" in paste(attach, elsewhere)
    assert alive(router) == 1
    # By its ledger, and not only by the slots that its name has.
    assert "no ledger" not in paste(delete, elsewhere)
    assert alive(router) == 0
    return attach, delete


@pytest.mark.parametrize("linked", [False, True])
def test_settings_of_a_services_table_are_found_again(
    service: Project, router: FakeRouter, linked: bool
) -> None:
    place = "linked" if linked else "my services/a"
    if linked:
        (service.path / place).symlink_to("my services/a", target_is_directory=True)
    result = service.set(token=TOKEN).live(place, "--hydra-smoke-keep=always")
    attach, delete = work(result, router)
    begin, output = (
        f"cd {shlex.quote(f'{service.path}/{place}')} && ",
        f"{service.path}/.hydrasmoke",
    )
    [instance] = router.instances
    told = f"--hydra-smoke --hydra-smoke-instance {instance.id} --hydra-smoke-output={output}"
    assert attach == f"{begin}pytest {told}"
    run_id = instance.idempotency_key.removesuffix("-0")
    assert delete == f"{begin}hydra-smoke sweep --run-id {run_id} --output {output}"


def test_paths_of_the_environment_hold_where_the_table_is(
    service: Project, router: FakeRouter
) -> None:
    service.write("secret/token", TOKEN).chmod(0o600)
    service.set(token_file="secret/token", output="out")
    result = service.live("my services/a", "--hydra-smoke-keep=always")
    _, delete = work(result, router)
    assert f"HYDRA_SMOKE_TOKEN_FILE={service.path}/secret/token hydra-smoke" in delete
    assert delete.endswith(f" --output {service.path}/out")


def test_a_table_with_an_output_of_its_own_is_not_told_another(
    service: Project, router: FakeRouter
) -> None:
    table = service.path / "my services/a/pyproject.toml"
    table.write_text(table.read_text("utf-8") + 'output = "left"\n', "utf-8")
    result = service.set(token=TOKEN).live("my services/a", "--hydra-smoke-keep=always")
    assert "-output" not in " ".join(work(result, router))


def test_what_options_said_is_said_again(project: Project, router: FakeRouter) -> None:
    project.set(token="another-token-of-the-environment", **SPEC)
    project.write("test_it.py", TEST)
    project.write("my token", TOKEN).chmod(0o600)
    options = (f"--hydra-smoke-url={router.url}", "--hydra-smoke-token-file=my token")
    named = ("--hydra-smoke-output=out", "--hydra-smoke-keep=always", "test_it.py")
    attach, delete = work(project.live(*options, *named), router)
    told = (
        f"cd {project.path} && HYDRA_SMOKE_TOKEN='' "
        f"HYDRA_SMOKE_TOKEN_FILE='{project.path}/my token' HYDRA_SMOKE_URL={router.url} "
    )
    assert delete.startswith(f"{told}hydra-smoke sweep --run-id ")
    assert delete.endswith(f" --output {project.path}/out")
    assert attach.startswith(f"{told}pytest --hydra-smoke --hydra-smoke-instance ")
    assert attach.endswith(f" --hydra-smoke-output={project.path}/out")


def test_the_environment_and_a_table_of_this_folder_need_nothing(
    project: Project, router: FakeRouter
) -> None:
    project.at(router, run_id="look-1").table('output = "out"')
    project.write("test_it.py", TEST)
    result = project.live("--hydra-smoke-keep=always", "test_it.py")
    attach, delete = printed(result)
    words = f"pytest --hydra-smoke --hydra-smoke-instance {router.instances[0].id}"
    # But that this run id was used: any other will do.
    assert attach == f"cd {project.path} && HYDRA_SMOKE_RUN_ID= {words}"
    assert delete == f"cd {project.path} && hydra-smoke sweep --run-id look-1"
    for _ in range(2):
        assert "1 passed" in paste(f"{attach} test_it.py", Path("/"))
    paste(delete, Path("/"))
    assert alive(router) == 0


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_a_leak_is_told_with_the_command_everywhere(
    service: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    summary = service.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    service.set(token=TOKEN, run_id="lost", delete_timeout=0.5, scope="function")
    router.fail("delete", status=500, times=1000)
    plugins = only("xdist") if workers else ()
    result = service.live(*plugins, *workers, "my services/a")
    command = sweep_of(service, "lost")
    output = result.stdout.str()
    assert output.count(command) == 2
    assert f"\nTo delete it: {command}\n" in output
    assert f"\n         delete: {command}\n" in output
    assert command in summary.read_text("utf-8")
    [instance] = json.loads((service.path / ".hydrasmoke/report.json").read_text())["instances"]
    assert instance["delete_with"] == command
    page = (service.path / ".hydrasmoke/report.html").read_text("utf-8")
    assert f"hydra-smoke sweep --run-id lost --output {service.path}/.hydrasmoke</pre>" in page
    router.reset()


@pytest.mark.parametrize("used", ["ledger", "mark"])
def test_a_run_id_that_was_used_is_told_with_the_command(
    service: Project, router: FakeRouter, used: str
) -> None:
    service.set(token=TOKEN, run_id="again")
    service.live("my services/a", "--hydra-smoke-keep=always").assert_outcomes(passed=1)
    if used == "ledger":
        router.reset()
        (service.path / ".hydrasmoke/used/again").unlink()
    result = service.live("my services/a")
    result.stderr.fnmatch_lines([f"*{sweep_of(service, 'again')}"])
