"""What a run asks before anything is collected, and what refuses it then."""

from __future__ import annotations

import re
import socket
import time

import pytest
from plugin_tools import ALL, FIRST, SOMEBODY, TOKEN, Project, count

from pytest_hydrasmoke import InstanceSpec, SmokeClient
from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._run import preflight
from pytest_hydrasmoke.fake import FakeRouter


def error_of(project: Project, *lines: str) -> str:
    """Run with a run id of one's own, refused before anything is collected; returns its error."""
    summary = project.path / "summary.md"
    summary.unlink(missing_ok=True)
    result = project.suite("mixed").set(run_id="run").live("test_mixed.py")
    result.is_refused(*lines)
    assert "collected" not in result.stdout.str()
    # On GitHub, that is one error, and the job has a summary.
    [error] = [line for line in result.errlines if line.startswith("::")]
    words = error.removeprefix("::error title=hydra-smoke was refused::").partition("%0A")[0]
    text = summary.read_text("utf-8")
    assert text.startswith("## hydra-smoke: refused before anything was provisioned\n")
    assert words in text
    return words


def refused(project: Project, *lines: str) -> str:
    """See a run refused that reports it, and never began; returns its error."""
    words = error_of(project, *lines)
    report = project.report()
    assert (report["exit_code"], report["ended"][:9]) == (4, "refused: ")
    assert not list(project.path.glob(".hydrasmoke/runs/*"))
    return words


def sweep(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run `hydra-smoke sweep` in this process; returns its exit code, and what it said."""
    capsys.readouterr()
    return main(["sweep", *arguments, "--wait", "0"]), *capsys.readouterr()


@pytest.fixture(autouse=True)
def on_github(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))


def test_a_run_id_that_the_router_knows_is_refused_and_swept(
    project: Project, router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
    with SmokeClient(router.url, token=TOKEN) as client:
        client.provision(spec, "run-0")
    seen = len(router.requests)
    refused(
        project.at(router),
        "ERROR: run id used before: run (the router knows its keys)",
        "*next step: give every run an id of its own, *: cd * && hydra-smoke sweep --run-id run",
    )
    assert project.report()["ended"].startswith("refused: run id used before: run")
    assert len(router.requests) == seen + 1
    assert count(router, "provision") == 1
    # Another run of the same id may have left it.
    assert "deleted" in sweep(capsys, "--run-id", "run")[1]
    assert router.instances[0].deleted


@pytest.mark.parametrize(("first", "ready"), [(0.6, 120), (120, 0.6)])
def test_a_run_id_of_one_s_own_and_no_router(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    first: float,
    ready: float,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    monkeypatch.setattr(preflight, "FIRST_ANSWER_TIMEOUT", first)
    began = time.monotonic()
    told = refused(project.at(f"http://127.0.0.1:{port}", ready_timeout=ready), "ERROR: poll: *")
    assert time.monotonic() - began < 60, "the shorter time counts"
    assert told.startswith("poll: ")
    # Another attempt of its id may have left something.
    for dry in ((), ("--dry-run",)):
        code, told, _ = sweep(capsys, "--run-id", "run", *dry)
        assert code == 1
        assert "UNKNOWN  what is left: " in told


def test_a_run_id_of_one_s_own_and_a_wrong_token(
    project: Project,
    router: FakeRouter,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = "not-the-token-of-it"
    line = f"*token: *from {{}}, at {router.url}"
    project.at(router, token=wrong)
    said = "poll was refused with 401"
    told = refused(project, f"ERROR: {said}*", line.format("HYDRA_SMOKE_TOKEN"))
    assert told.startswith(said)
    # A sweep that may have left something is one error, too.
    code, _, told = sweep(capsys, "--run-id", "run")
    assert code == 1
    [error] = [it for it in told.splitlines() if it.startswith("::")]
    assert re.match("::error title=hydra-smoke sweep::something may be left: .*%0AUNKNOWN", error)
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    monkeypatch.setenv("OPS_BEARER_TOKEN", wrong)
    project.live().is_refused(line.format("OPS_BEARER_TOKEN"))
    path = project.write("token", wrong)
    path.chmod(0o600)
    project.live(f"--hydra-smoke-token-file={path}").is_refused(line.format("*token_file*"))


def test_settings_that_refuse_a_run_are_wrong_for_its_sweep(
    project: Project, router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    told = error_of(project.at(router, url="router.example"), "*hydra-smoke can't start:*")
    assert told.startswith("hydra-smoke can't start:")
    assert sweep(capsys, "--run-id", "run")[0] == pytest.ExitCode.USAGE_ERROR


def test_a_run_id_is_good_for_one_run(project: Project, router: FakeRouter) -> None:
    project.suite("bare").at(router, run_id="run")
    project.live("-k", "unknown_key", passed=1, deselected=ALL - 1)
    refused(project.at(router), "ERROR: run id used before: run (*used/run says so)")


def test_what_a_run_must_know_is_asked_before_anything_is_collected(
    project: Project, router: FakeRouter
) -> None:
    # Nobody is asked about an attached run.
    project.suite("mixed").at(router, instance=SOMEBODY, run_id="run").live("-k", "plain")
    assert router.requests == ()
    project.at(router, instance="", run_id="next")
    project.live("-k", "plain", passed=1, deselected=2 + ALL)
    assert [request.route for request in router.requests] == list(FIRST)


def test_an_output_that_is_no_folder_is_a_usage_error(project: Project) -> None:
    project.suite("mixed").write("taken", "")
    project.fake("--hydra-smoke-output=taken").is_refused("ERROR: *taken*")
