"""The command line `hydra-smoke`, also `python -m pytest_hydrasmoke`; its signals; its fake."""

from __future__ import annotations

import errno
import io
import json
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import httpx
import pytest
from cli_tools import Output, like
from plugin_tools import TOKEN, Project, silent, until
from systems import Unwritable

from pytest_hydrasmoke._cli import main as main_module
from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._run import preflight
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import Request
from pytest_hydrasmoke.fake import FakeRouter, Scenario


def test_the_script_is_this_command_and_tells_what_it_has(capsys: Output) -> None:
    [script] = entry_points(group="console_scripts", name="hydra-smoke")
    assert script.load() is main
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for command in ("check", "sweep", "fake", "history"):
        assert f"\n    {command} " in text


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        *(("", ""), ("", "swep"), ("check", "--port 1"), ("fake", "--port x"), ("fake", "--po 0")),
        *(("sweep", "--wait soon"), ("sweep", "--run run"), ("sweep", "run")),
    ],
)
def test_other_words_are_a_usage_error(command: str, arguments: str, capsys: Output) -> None:
    with pytest.raises(SystemExit) as ended:
        main(f"{command} {arguments}".split())
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"usage: hydra-smoke {command or '[-h]'} ")


def test_on_windows_no_command_begins(
    here: Project, router: FakeRouter, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_module, "ON_WINDOWS", True)
    assert main(["check"]) == 4
    assert capsys.readouterr().err == (
        "smoke tests run on Linux and macOS: on Windows, run them in WSL\n"
    )
    assert router.requests == ()


@pytest.mark.parametrize("command", ["check", "sweep --run-id run --wait 0"])
def test_a_router_that_is_not_reached_yet_is_told_of_as_time_passes(
    here: Project,
    router: FakeRouter,
    capsys: Output,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    said = threading.Event()
    write = main_module.aside

    def wait_aloud(line: str) -> None:
        write(line)
        # What two attempts have come to: the third is under way.
        if "attempt 3" in line:
            said.set()

    ask = SyncIO.open_now
    for name, seconds in (("TICK", 0.001), ("FIRST", 0.0), ("EVERY", 0.001)):
        monkeypatch.setattr(preflight, name, seconds)
    monkeypatch.setattr(main_module, "aside", wait_aloud)
    route = "status" if command == "check" else "poll"
    router.drop(route, times=2)

    async def attempt(io: SyncIO, request: Request, deadline: float) -> Any:
        if router.requests and len(router.requests) == 2 and request.call == route:
            assert said.wait(30)
        return await ask(io, request, deadline)

    monkeypatch.setattr(SyncIO, "open_now", attempt)
    main(command.split())
    out, err = capsys.readouterr()
    assert re.search(rf"^reaching {router.url}, \d+ s, attempt 3$", err, re.MULTILINE)
    assert "reaching" not in out


# Signals


def test_a_signal_ends_a_command_that_waits_for_its_router(project: Project) -> None:
    # As a module it loads no conftest.
    project.write("conftest.py", "raise SystemExit('broken')")
    with silent() as (url, asked):
        project.at(url)
        with project.started("-m", "pytest_hydrasmoke", "check") as process, asked():
            # Two of them, as an impatient user sends: the first one counts.
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGHUP)
            said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGHUP
    assert said.splitlines() == [
        f"ok    settings: {url}",
        "interrupted: run it again: hydra-smoke check",
    ]


def test_the_code_of_an_interrupt_is_the_same_where_nobody_reads(project: Project) -> None:
    with silent() as (url, asked):
        command = ("-m", "pytest_hydrasmoke", "sweep", "--run-id", "run")
        with project.at(url).unread(*command) as process, asked():
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 128 + signal.SIGTERM


@pytest.mark.parametrize("closed", [["stdout"], ["stderr"], ["stdout", "stderr"]], ids=" ".join)
def test_closed_streams_do_not_change_the_code(
    here: Project, monkeypatch: pytest.MonkeyPatch, closed: list[str]
) -> None:
    for command, code in ((["check"], 0), (["history", str(here.path)], 4)):
        for name in closed:
            monkeypatch.setattr(sys, name, None)
        assert main(command) == code


@pytest.mark.parametrize(("why", "code"), [(errno.ENOSPC, 4), (errno.EPIPE, 0)])
def test_what_a_reader_may_need_and_can_not_be_written_is_no_success(
    here: Project, monkeypatch: pytest.MonkeyPatch, why: int, code: int
) -> None:
    monkeypatch.setattr(sys, "stdout", Unwritable(why))
    assert main(["check"]) == code


class LeftPipe(io.StringIO):
    """Its reader leaves, and Ctrl-C comes while the first line is written."""

    interrupted = False

    def flush(self) -> None:
        if not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt
        raise BrokenPipeError


def test_the_rest_of_an_interrupted_line_does_not_change_the_code(
    here: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", LeftPipe())
    assert main(["check"]) == 128 + signal.SIGINT
    sys.stdout.flush()  # As Python does at its exit: a failure there is code 120.


def test_a_sweep_that_is_interrupted_says_what_it_knows_and_what_not(
    here: Project, router: FakeRouter
) -> None:
    router.fail("poll", status=503, times=10_000, after=1)
    with here.started("-m", "pytest_hydrasmoke", "sweep", "--run-id", "abc") as process:
        until(lambda: any(one.path.endswith("abc-7") for one in router.requests), patience=120)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    like(
        said.splitlines()[-3:],
        "UNKNOWN  interrupted: 78 keys were not asked to the end: abc-0 to abc-63, abc-stranger_*",
        "something may be left",
        "interrupted: run it again: hydra-smoke sweep --run-id abc",
    )
    assert "LEFT" not in said


# The fake


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
    assert main(["fake"]) == 0
    assert "its token is a-random-token\nstop it" in capsys.readouterr().out
    project.set(token=TOKEN)
    assert main(["fake", "--scenario", "goose", "--host", "::1", "--port", "0"]) == 0
    assert "its token is HYDRA_SMOKE_TOKEN\nstop it" in capsys.readouterr().out
    assert main(["fake", "--scenario", "own.toml"]) == 0
    plain = {"host": "127.0.0.1", "port": 8000}
    assert served == [
        ((Scenario(), None), plain),
        ((Scenario(runtime="goose"), TOKEN), plain | {"host": "::1", "port": 0}),
        ((Scenario(runtime="text", reply="yes"), TOKEN), plain),
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


def test_what_there_is_not_is_not_served(served: Served, capsys: Output) -> None:
    none = "there is no scenario 'slowboot' (did you mean slow-boot?): give one of default, "
    for options, words in (
        # A port that is taken for another one would be served for good.
        (["--port", "70000"], "there is no port 70000\n  next step: give 0 to 65535\n"),
        (["--port", "-1"], "there is no port -1\n  next step: give 0 to 65535\n"),
        (["--scenario", "slowboot"], none),
    ):
        assert main(["fake", *options]) == 4
        assert words in capsys.readouterr().err
    assert served == []


def test_what_can_not_be_served_is_a_wrong_setting(project: Project, capsys: Output) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["fake", "--port", port]) == 4
    said = capsys.readouterr().err
    assert f"port {port} of 127.0.0.1 is taken: choose another, or 0 for any that is free" in said
    assert main(["fake", "--host", "no host", "--port", "0"]) == 4
    assert "the fake router can't be served: " in capsys.readouterr().err
    project.set(token=f"{TOKEN} with spaces")
    assert main(["fake", "--port", "0"]) == 4
    out, err = capsys.readouterr()
    assert "a token is printable ASCII" in err
    assert TOKEN not in out + err
