"""What a run asks before anything is collected, and what refuses it then."""

from __future__ import annotations

import signal
import socket

import pytest
from inner import only
from plugin_tools import ALL, FIRST, SOMEBODY, TOKEN, Project, count

from pytest_hydrasmoke import InstanceSpec, SmokeClient
from pytest_hydrasmoke._run import preflight
from pytest_hydrasmoke.fake import FakeRouter


def refused(project: Project, *lines: str) -> None:
    """Run with a run id of one's own, which is to be refused before anything is collected."""
    result = project.suite("mixed").set(run_id="run").live("test_mixed.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "collected" not in result.stdout.str()
    result.stderr.fnmatch_lines(list(lines))
    report = project.report()
    assert (report["exit_code"], report["ended"][:9]) == (4, "refused: ")
    # It never began.
    assert not list(project.path.glob(".hydrasmoke/runs/*"))


def test_a_run_id_that_the_router_knows_is_refused(project: Project, router: FakeRouter) -> None:
    spec = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
    with SmokeClient(router.url, token=TOKEN) as client:
        client.provision(spec, "run-0")
    seen = len(router.requests)
    refused(
        project.at(router),
        "ERROR: run id used before: run (the router knows its keys)",
        "*next step: give every run an id of its own, *: cd * && hydra-smoke sweep --run-id run",
    )
    assert len(router.requests) == seen + 1
    assert count(router, "provision") == 1


def test_a_run_id_of_one_s_own_and_no_router(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "FIRST_ANSWER_TIMEOUT", 0.6)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    refused(project.at(f"http://127.0.0.1:{port}"), "ERROR: poll: *")


def test_a_run_id_of_one_s_own_and_a_wrong_token(
    project: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "not-the-token-of-it"
    line = f"*token: *from {{}}, at {router.url}"
    refused(
        project.at(router, token=wrong),
        "ERROR: poll was refused with 401*",
        line.format("HYDRA_SMOKE_TOKEN"),
    )
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    monkeypatch.setenv("OPS_BEARER_TOKEN", wrong)
    project.live().stderr.fnmatch_lines([line.format("OPS_BEARER_TOKEN")])
    path = project.write("token", wrong)
    path.chmod(0o600)
    result = project.live(f"--hydra-smoke-token-file={path}")
    result.stderr.fnmatch_lines([line.format("*token_file*")])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"token": "not-the-token-of-it"}, "poll was refused with 401"),
        ({"url": "http://127.0.0.1:9", "ready_timeout": 0.5}, "poll: "),
        ({"url": "router.example"}, "hydra-smoke can't start:"),
    ],
    ids=["token", "down", "settings"],
)
def test_a_refusal_is_one_error_on_github_and_a_sweep_knows(
    project: Project,
    router: FakeRouter,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, object],
    words: str,
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    project.suite("mixed").at(router, **{"run_id": "run", **settings})
    result = project.live("test_mixed.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    [line] = [line for line in result.errlines if line.startswith("::")]
    assert line.startswith(f"::error title=hydra-smoke was refused::{words}")
    summary = (project.path / "summary.md").read_text("utf-8")
    assert summary.startswith("## hydra-smoke: refused before anything was provisioned\n")
    assert words in summary
    swept = project.command("sweep", "--run-id", "run")
    if words.startswith("poll"):
        assert swept.ret == 0
        swept.stdout.fnmatch_lines(
            ["*run run has provisioned nothing: it was refused: preflight: poll*"]
        )
    else:
        assert swept.ret == pytest.ExitCode.USAGE_ERROR  # The same settings are wrong for it.


def test_a_sweep_asks_for_what_another_run_of_the_same_id_may_have_left(
    project: Project, router: FakeRouter
) -> None:
    spec = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
    with SmokeClient(router.url, token=TOKEN) as client:
        client.provision(spec, "run-0")
    refused(project.at(router), "ERROR: run id used before: run (the router knows its keys)")
    project.command("sweep", "--run-id", "run", "--wait", "0").stdout.fnmatch_lines(["*deleted*"])
    assert router.instances[0].deleted


def test_a_run_id_is_good_for_one_run(project: Project, router: FakeRouter) -> None:
    project.suite("bare").at(router, run_id="run")
    project.live("-k", "unknown_key").assert_outcomes(passed=1, deselected=ALL - 1)
    refused(project.at(router), "ERROR: run id used before: run (*used/run says so)")


def test_what_a_run_must_know_is_asked_before_anything_is_collected(
    project: Project, router: FakeRouter
) -> None:
    project.suite("mixed").at(router)
    project.live("-k", "plain").assert_outcomes(passed=1, deselected=2 + ALL)
    assert [request.route for request in router.requests] == list(FIRST)


def test_nobody_is_asked_about_an_attached_run(project: Project, router: FakeRouter) -> None:
    project.suite("mixed").at(router, instance=SOMEBODY, run_id="run")
    project.live("-k", "plain")
    assert router.requests == ()


@pytest.mark.parametrize(
    ("switch", "place"), [("--hydra-smoke", "taken/output"), ("--hydra-smoke-fake", "taken")]
)
def test_an_output_that_is_no_folder_is_a_usage_error(
    project: Project, router: FakeRouter, switch: str, place: str
) -> None:
    project.suite("mixed").at(router).write("taken", "")
    result = project.run(switch, f"--hydra-smoke-output={place}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *taken*"])
    assert not count(router, "provision")


def test_a_signal_before_there_is_a_session_interrupts(project: Project) -> None:
    project.suite("bare").pytester.parseconfigure(*only(), "--hydra-smoke-fake")
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_sweep_that_may_have_left_something_is_an_error_on_github(
    project: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    project.suite("mixed").at(router, token="not-the-token-of-it")
    result = project.command("sweep", "--run-id", "another", "--wait", "0")
    assert result.ret == 1
    [line] = [line for line in result.errlines if line.startswith("::")]
    assert line.startswith("::error title=hydra-smoke sweep::something may be left%0AUNKNOWN  what")
