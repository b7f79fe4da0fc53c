"""`hydra-smoke fake`: what it serves, where, and with which token."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from cli_tools import Output, like
from plugin_tools import TOKEN, Project

from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke.fake import Scenario


def test_fake_serves_until_it_is_interrupted(project: Project) -> None:
    command = ("-m", "pytest_hydrasmoke", "fake", "--host", "localhost", "--port", "0")
    with project.started(*command) as process:
        assert process.stdout is not None
        served, told, stop = (process.stdout.readline().rstrip() for _ in range(3))
        url, token = (line.split()[-1] for line in (served, told))
        assert re.fullmatch("http://127.0.0.1:[0-9]+|http://.*::1.*", url)
        assert (served, told) == (f"fake router at {url}", f"its token is {token}")
        assert stop == "stop it with Ctrl-C"
        answer = httpx.get(
            f"{url}/internal/v1/smoke/instances/by-key/k",
            headers={"authorization": f"Bearer {token}"},
            trust_env=False,
        )
        assert answer.status_code == 200
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "")


Served = list[tuple[tuple[Any, ...], dict[str, Any]]]


@pytest.fixture
def served(project: Project, monkeypatch: pytest.MonkeyPatch) -> Served:
    """What is asked to be served; it would be served for good."""
    calls: Served = []

    def serve(*given: object, announce: Callable[[str, str], None], **options: object) -> None:
        calls.append((given, options))
        announce("http://127.0.0.1:8000", "a-random-token")

    monkeypatch.setattr("pytest_hydrasmoke.fake.serve", serve)
    return calls


def test_what_is_asked_for_is_served(served: Served, project: Project, capsys: Output) -> None:
    project.write("own.toml", 'base = "text"\nreply = "yes"\n')
    one, two = "https://app.example", "http://127.0.0.1:3000"
    assert main(["fake"]) == 0
    assert "its token is a-random-token\nstop it" in capsys.readouterr().out
    project.set(token=TOKEN)
    assert main(["fake", "--scenario", "goose", "--host", "::1", "--port", "0"]) == 0
    assert "its token is HYDRA_SMOKE_TOKEN\nstop it" in capsys.readouterr().out
    origins = ("--cors-origin", one, "--cors-origin", two)
    assert main(["fake", "--scenario", "own.toml", *origins]) == 0
    plain = {"host": "127.0.0.1", "port": 8000, "cors_origins": []}
    assert served == [
        ((Scenario(), None), plain),
        ((Scenario(runtime="goose"), TOKEN), plain | {"host": "::1", "port": 0}),
        ((Scenario(runtime="text", reply="yes"), TOKEN), plain | {"cors_origins": [one, two]}),
    ]


def test_fake_says_which_recordings_it_serves(
    served: Served, project: Project, capsys: Output
) -> None:
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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        # A port that is taken for another one would be served for good.
        ("--port 70000", "there is no port 70000\n  next step: give 0 to 65535\n"),
        ("--port -1", "there is no port -1\n  next step: give 0 to 65535\n"),
        (
            "--scenario slowboot",
            "there is no scenario 'slowboot' (did you mean slow-boot?): give one of default, ",
        ),
    ],
)
def test_what_there_is_not_is_not_served(
    served: Served, capsys: Output, options: str, words: str
) -> None:
    assert main(["fake", *options.split()]) == 4
    assert words in capsys.readouterr().err
    assert served == []


def test_what_can_not_be_served_is_a_wrong_setting(project: Project, capsys: Output) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["fake", "--port", port]) == 4
    said = capsys.readouterr().err
    assert f"port {port} of 127.0.0.1 is taken: choose another, or 0 for any that is free" in said
    assert main(["fake", "--port", "0", "--cors-origin", "https://app.example/"]) == 4
    assert "'https://app.example/' is no origin, such as" in capsys.readouterr().err
    assert main(["fake", "--host", "no host", "--port", "0"]) == 4
    assert "the fake router can't be served: " in capsys.readouterr().err
    project.set(token=f"{TOKEN} with spaces")
    assert main(["fake", "--port", "0"]) == 4
    out, err = capsys.readouterr()
    assert "a token is printable ASCII" in err
    assert TOKEN not in out + err
