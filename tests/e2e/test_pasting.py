"""The commands that a run prints work when they are pasted into its own shell and folder."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from inner import ALONE, without_others
from plugin_tools import SOMEBODY, TOKEN, Project, alone_or_workers, nothing_left

from pytest_hydrasmoke._settings.sources import load
from pytest_hydrasmoke.fake import FakeRouter

SERVICE = "my services/a"
TEST = "def test_one(smoke_instance): assert smoke_instance.id"
WHAT = ("manifest_id", "region_id", "tier_id")
SPEC = {"manifest_id": "made-up", "region_id": "nowhere", "tier_id": "tier-1", "delete_timeout": 5}


@pytest.fixture
def service(project: Project, router: FakeRouter) -> Project:
    """A service with its settings in a table, below a folder that has none."""
    lines = {**SPEC, "url": router.url}
    table = "\n".join(f"{name} = {json.dumps(value)}" for name, value in lines.items())
    project.write("my services/a/pyproject.toml", f"[tool.hydra-smoke]\n{table}\n")
    project.write("my services/a/test_a.py", TEST)
    return project


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


@dataclass(frozen=True)
class Given:
    """Where settings come from, and what the commands say of it; `{}` is the folder of the run."""

    environment: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    table: str | None = None
    lines: tuple[str, ...] = ()
    begin: str = "cd {} && "
    attach: str = ""
    output: str = ""


GIVEN = {
    "a table of a service": Given(
        table=SERVICE, begin="cd '{}/my services/a' && ", output="{}/.hydrasmoke"
    ),
    "a link to it": Given(table="linked", begin="cd {}/linked && ", output="{}/.hydrasmoke"),
    "paths of the environment": Given(
        environment={"token_file": "secret/token", "output": "out"},
        table=SERVICE,
        begin="cd '{}/my services/a' && HYDRA_SMOKE_TOKEN_FILE={}/secret/token ",
        output="{}/out",
    ),
    "options": Given(
        options={"url": "https://router.example", "token_file": "my token", "output": "out"},
        begin="cd {} && HYDRA_SMOKE_TOKEN='' HYDRA_SMOKE_TOKEN_FILE='{}/my token' "
        "HYDRA_SMOKE_URL=https://router.example ",
        output="{}/out",
    ),
    # But that this run id was used: any other will do.
    "the environment and a table here": Given(
        environment={"run_id": "look-1"},
        table=".",
        lines=('output = "out"',),
        attach="HYDRA_SMOKE_RUN_ID= ",
    ),
}


@pytest.mark.parametrize("name", GIVEN)
def test_the_commands_say_what_is_not_found_again(project: Project, name: str) -> None:
    given = GIVEN[name]
    folder = project.path
    lines = ["[tool.hydra-smoke]", *(f'{name} = "{SPEC[name]}"' for name in WHAT), *given.lines]
    if given.table:
        (folder / SERVICE).mkdir(parents=True)
        (folder / "linked").symlink_to(SERVICE, target_is_directory=True)
        project.write(f"{given.table}/pyproject.toml", "\n".join(lines))
    else:
        project.set(**SPEC)
    for file in ("secret/token", "my token"):
        project.write(file, TOKEN).chmod(0o600)
    token = {} if "token_file" in given.environment else {"token": "of-the-environment"}
    project.set(**{"url": "https://router.example", **token, **given.environment})
    places = [folder / given.table] if given.table else []
    commands = load(given.options, folder, fake=False, places=places).config.commands
    begin, output = given.begin.replace("{}", str(folder)), given.output.replace("{}", str(folder))
    told = f"--hydra-smoke --hydra-smoke-instance {SOMEBODY}"
    after = f" --hydra-smoke-output={output}" if output else ""
    assert commands.attach(SOMEBODY) == f"{begin}{given.attach}pytest {told}{after}"
    after = f" --output {output}" if output else ""
    assert commands.sweep("run") == f"{begin}hydra-smoke sweep --run-id run{after}"


def test_what_is_pasted_attaches_and_deletes(service: Project, router: FakeRouter) -> None:
    # The table says what and where, the environment and an option the rest.
    service.write("my token", TOKEN).chmod(0o600)
    service.set(token="another-token-of-the-environment", output="out", run_id="look-1")
    keeps = ("--hydra-smoke-token-file=my token", "--hydra-smoke-keep=always")
    result = service.live(SERVICE, *keeps)
    [instance] = router.instances
    result.says(
        "*provisioned 1, deleted 0, kept 1, leaked 0, unsure 0",
        f"kept     {instance.id} (key look-1-0)",
    )
    assert service.runs("out") == ["look-1"]
    lines = [line.strip() for line in result.outlines]
    attach, delete = (
        next(it for it in lines if it.startswith(what)).removeprefix(what)
        for what in ("attach: ", "delete: ")
    )
    said = paste(f"{attach} test_a.py", Path("/"))
    assert "attached" in said
    assert "1 passed" in said
    assert not router.instances[0].deleted
    # By its ledger, and not only by the slots that its name has.
    assert "no ledger" not in paste(delete, Path("/"))
    assert nothing_left(router)


@alone_or_workers
def test_a_leak_is_told_with_the_command_everywhere(
    service: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    summary = service.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    service.set(token=TOKEN, run_id="lost", delete_timeout=0.5, scope="function")
    router.fail("delete", status=500, times=1000)
    result = service.live(*workers, SERVICE)
    command = sweep_of(service, "lost")
    output = result.stdout.str()
    assert output.count(command) == 2
    assert f"\nTo delete it: {command}\n" in output
    assert f"\n         delete: {command}\n" in output
    assert command in summary.read_text("utf-8")
    [instance] = service.report()["instances"]
    assert instance["delete_with"] == command
    page = service.left("report.html")
    assert f"hydra-smoke sweep --run-id lost --output {service.path}/.hydrasmoke</pre>" in page
    router.reset()


def test_a_run_id_that_was_used_is_told_with_the_command(
    service: Project, router: FakeRouter
) -> None:
    service.set(token=TOKEN, run_id="again")
    service.live(SERVICE, "--hydra-smoke-keep=always", passed=1)
    service.live(SERVICE).is_refused(f"*{sweep_of(service, 'again')}")
    # By its ledger alone, too.
    router.reset()
    (service.path / ".hydrasmoke/used/again").unlink()
    service.live(SERVICE).is_refused(f"*{sweep_of(service, 'again')}")
