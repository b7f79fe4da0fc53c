"""`hydra-smoke fake`: what it serves, where, and with which token."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Callable

import httpx
import pytest
from cli_tools import Output, like
from plugin_tools import FILES, TOKEN, Project

from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke.fake import Scenario


def test_fake_serves_until_it_is_interrupted(project: Project) -> None:
    project.set(token=TOKEN)
    command = ("-m", "pytest_hydrasmoke", "fake", "--port", "0")
    with project.started(*command) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().rstrip() for _ in range(3)]
        assert lines[1:] == ["its token is HYDRA_SMOKE_TOKEN", "stop it with Ctrl-C"]
        url = lines[0].removeprefix("fake router at ")
        result = project.suite("bare").at(url).live("pytest_hydrasmoke/checks/test_instance.py")
        result.assert_outcomes(passed=FILES["test_instance.py"])
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "")


def test_fake_makes_up_a_token_and_prints_it(project: Project) -> None:
    project.set(token="")
    command = ("-m", "pytest_hydrasmoke", "fake", "--host", "localhost", "--port", "0")
    with project.started(*command) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        token = process.stdout.readline().removeprefix("its token is ").strip()
        assert re.fullmatch("http://127.0.0.1:[0-9]+|http://.*::1.*", url)
        answer = httpx.get(
            f"{url}/internal/v1/smoke/instances/by-key/k",
            headers={"authorization": f"Bearer {token}"},
            trust_env=False,
        )
        assert answer.status_code == 200
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_fake_on_a_port_that_is_taken(project: Project, capsys: Output) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["fake", "--port", port]) == 4
    said = capsys.readouterr().err
    assert "the fake router can't be served: " in said
    assert f"port {port} of 127.0.0.1 is taken: choose another, or 0 for any that is free" in said


def test_fake_lets_pages_of_named_origins_call_it(
    monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    assert main(["fake", "--port", "0", "--cors-origin", "https://app.example/"]) == 4
    assert "'https://app.example/' is no origin, such as" in capsys.readouterr().err
    named: list[object] = []

    def serve(*_: object, cors_origins: object, **__: object) -> None:
        named.append(cors_origins)

    monkeypatch.setattr("pytest_hydrasmoke.fake.serve", serve)
    one, two = "https://app.example", "http://127.0.0.1:3000"
    assert main(["fake", "--cors-origin", one, "--cors-origin", two]) == 0
    assert main(["fake"]) == 0
    assert named == [[one, two], []]


@pytest.mark.parametrize("port", ["70000", "-1"])
def test_fake_on_a_port_that_is_none(
    port: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A port that is taken for another one would be served for good.
    monkeypatch.setattr("pytest_hydrasmoke.fake.serve", lambda *_, **__: pytest.fail("served"))
    assert main(["fake", "--port", port]) == 4
    like(
        capsys.readouterr().err.splitlines(),
        f"there is no port {port}",
        "*next step: give 0 to 65535",
    )


def test_fake_plays_a_scenario(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Scenario] = []
    monkeypatch.setattr("pytest_hydrasmoke.fake.serve", lambda it, *_, **__: served.append(it))
    project.write("own.toml", 'base = "text"\nreply = "yes"\n')
    for given in ([], ["--scenario", "goose"], ["--scenario", "own.toml"]):
        assert main(["fake", *given]) == 0
    assert served == [
        Scenario(),
        Scenario(runtime="goose"),
        Scenario(runtime="text", reply="yes"),
    ]


def test_fake_says_which_recordings_it_serves(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    def serve(*_: object, announce: Callable[[str, str], None], **__: object) -> None:
        announce("http://127.0.0.1:8000", "made-up")

    monkeypatch.setattr("pytest_hydrasmoke.fake.serve", serve)
    project.write("over.toml", 'base = "recordings"\n')
    for number, day in enumerate(("2020-01-31", "2020-02-29")):
        head = {"format": "pytest-hydrasmoke recording", "version": 1, "recorded": day}
        text = json.dumps({**head, "of": f"t.py::test_{number}", "turns": []})
        project.write(f"recordings/{number}.json", text)
    for given in ("recordings/", "over.toml"):
        assert main(["fake", "--scenario", given]) == 0
        like(
            capsys.readouterr().out.splitlines(),
            "fake router at http://127.0.0.1:8000",
            "replaying 2 recordings of 2020-01-31 to 2020-02-29; the oldest is * days old",
            "its token is *",
            "stop it with Ctrl-C",
        )


def test_fake_with_a_scenario_that_is_none(project: Project, capsys: Output) -> None:
    assert main(["fake", "--scenario", "slowboot"]) == 4
    words = "there is no scenario 'slowboot' (did you mean slow-boot?): give one of default, "
    assert words in capsys.readouterr().err


def test_fake_on_a_host_that_is_none(project: Project) -> None:
    # In a process, for the same reason.
    result = project.command("fake", "--host", "no host", "--port", "0")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["the fake router can't be served: *"])


def test_fake_with_a_token_that_is_none(project: Project, capsys: Output) -> None:
    project.set(token=f"{TOKEN} with spaces")
    assert main(["fake", "--port", "0"]) == 4
    out, err = capsys.readouterr()
    assert "a token is printable ASCII" in err
    assert TOKEN not in out + err
