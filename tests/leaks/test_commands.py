"""The command line shows no part of a token: of one that it is given, or of one that it uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from leaks_tools import hits, settings, windows
from other_form import give_form

from pytest_hydrasmoke import InstanceSpec, SmokeClient
from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke.fake import FakeRouter, Scenario

TOKEN = "q7XwZt3mLk9v##[b2yNd5Hc8Fj4Gs6Pa1T"
OTHER = "j5Tn0Vb8Qe2Wr7Xc4Mz9Lp1Ka6Sd3Gf"
PARTS = windows(TOKEN) | windows(OTHER)
WRONG = (
    *(("--token", TOKEN), (f"--token={TOKEN}",), ("--tok", TOKEN), (f"--bearer-token={TOKEN}",)),
    *(("-t", TOKEN), (f"-t{TOKEN}",), (TOKEN,)),
)
GIVEN = [
    *((*given, "check") for given in WRONG),
    *((command, *given) for command in ("check", "sweep", "fake") for given in WRONG),
]
Command = Callable[..., str]


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Give `command(code, *arguments, **env)`: all that it said, which has no part of a token."""
    monkeypatch.chdir(tmp_path)

    def run(expected: int, *arguments: str, **env: str) -> str:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            try:
                code = main([*arguments])
            except SystemExit as ended:
                code = int(ended.code or 0)
        said = capsys.readouterr()
        told = said.out + said.err
        assert code == expected
        # What was broken up has been masked before.
        assert not hits(told, PARTS) | hits(told.replace("# #", "##"), PARTS)
        return told

    return run


def test_a_token_that_is_given_is_not_repeated_and_what_is_misspelt_is_named(
    command: Command,
) -> None:
    for arguments in GIVEN:
        told = command(2, *arguments)
        assert "usage: " in told
        if any(it.startswith("--token") for it in arguments):
            assert "--token would show the token to everybody on this machine: set HYDRA_S" in told
    told = command(2, "sweep", "--dryrun", "--run_id=x", "more")
    assert told.splitlines()[-1] == "hydra-smoke sweep: error: unrecognized arguments: --dryrun"


def test_what_has_the_token_in_it_is_told_without(command: Command) -> None:
    env = {"HYDRA_SMOKE_TOKEN": TOKEN, "OPS_BEARER_TOKEN": OTHER}
    for given in (TOKEN, OTHER, f"{OTHER}.toml"):
        told = command(4, "fake", "--scenario", given, **env)
        assert "the fake router has no such scenario" in told
    for name in ("agent_name", "run_id"):
        more = settings("https://router.example", TOKEN, **{name: OTHER})
        assert f"{name} contains the token" in command(4, "check", **{**env, **more})


@pytest.fixture
def router() -> Iterator[FakeRouter]:
    told = f"{TOKEN} {OTHER}"
    scenario = Scenario(row_after=0, statuses=((0, f"running {told}"),), llm_events_lag=0.0)
    with give_form(FakeRouter(scenario, TOKEN), lambda it: {**it, told: told}) as router:
        yield router


@pytest.mark.parametrize("body", [{"detail": f"{TOKEN} {OTHER}"}, f"Authorization: Bearer {TOKEN}"])
def test_no_line_of_a_check_shows_a_token(body: Any, router: FakeRouter, command: Command) -> None:
    for route, after, said in (
        ("status", 0, "WRONG unknown instance: "),
        ("poll", 0, "WRONG token: "),
        ("poll", 1, "WRONG unknown key: "),
        ("status", 1, "WRONG unknown instance: "),
    ):
        router.reset()
        router.fail(route, status=403, times=99, after=after, body=body)
        told = command(1, "check", **settings(router.url, TOKEN), OPS_BEARER_TOKEN=OTHER)
        assert said in told
        assert "********" in told


@pytest.mark.parametrize(
    ("route", "after", "said"),
    [
        ("poll", 0, "UNKNOWN  what is left"),
        ("poll", 2, "poll was refused with 403"),
        ("delete", 0, "LEFT     "),
    ],
)
def test_no_line_of_a_sweep_shows_a_token(
    route: Any, after: int, said: str, router: FakeRouter, command: Command
) -> None:
    with SmokeClient(router.url, token=TOKEN) as client:
        client.provision(InstanceSpec(manifest_id="m", region_id="r", tier_id="t"), "run-0")
    router.fail(route, status=403, times=999, after=after, body={"detail": f"{TOKEN} {OTHER}"})
    env = settings(router.url, TOKEN, delete_timeout=1, max_instances=1)
    arguments = ("sweep", "--run-id", "run", "--wait", "0")
    assert said in command(1, *arguments, **env, OPS_BEARER_TOKEN=OTHER)
