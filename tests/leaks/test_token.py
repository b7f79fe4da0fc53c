"""No part of the token in anything that a run leaves, however carelessly its tests fail.

A sample is part of the normal tests; `-m leaks` runs the whole table.
"""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import Any

import pytest
from leaks_tools import SINKS, Sinks, run, settings, spellings, windows
from other_form import give_form
from sizes import sampled

from pytest_hydrasmoke.fake import FakeRouter, Scenario

LETTERS = string.ascii_letters + string.digits


def made_up(length: int) -> str:
    return "".join(random.Random(length).choices(LETTERS, k=length))


TOKENS = {
    "36": made_up(36),
    "800": made_up(800),
    # What a runner would obey, and is broken up for that reason.
    "36 with ##[": f"{made_up(15)}##[{made_up(18)}",
}
OTHER = made_up(40)
"""The one that the environment holds beside it (OPS_BEARER_TOKEN)."""
FEW = "reply or set_up or teardown or printed or others or property or encoded or attribute"
CONFIGURATIONS: dict[str, tuple[str, ...]] = {
    "default": (),
    "-l": ("-l",),
    "-vv": ("-vv",),
    "--tb=long": ("--tb=long",),
    "--tb=short": ("--tb=short",),
    "--tb=native": ("--tb=native",),
    "--log-level=DEBUG": ("--log-level=DEBUG",),
    "-n 2": ("-n", "2"),
    "-n 2 -l -vv": ("-n", "2", "-l", "-vv"),
    # Beyond what was asked for.
    "-rA --color=yes": ("-rA", "--color=yes", "-l"),
    "--tb=line": ("--tb=line",),
    "--full-trace": ("--full-trace", "-l"),
    "on a CI": ("-l",),
    "-n 2, a few tests": ("-n", "2", "-k", "reply or warned or set_up or in_lines"),
    "--debug": ("--debug", "-l"),
    "-n 2 --debug": ("-n", "2", "--debug"),
    "--debug, a few tests": ("--debug", "-l", "-k", FEW),
}
SAMPLE = [("36 with ##[", "--debug, a few tests")]
ALL = [(which, name) for which in TOKENS for name in CONFIGURATIONS]


def leaky_run(folder: Path, token: str, *arguments: str, **env: str) -> Sinks:
    """Run the careless suite against a router that tells the token back wherever it can."""
    scenario = Scenario(
        row_after=0,
        statuses=((0, f"wait for {token}"), (0.1, "running")),
        reply=f"I know {token}",
        providers=("anthropic", token),
        llm_events_lag=0.0,
    )

    def telling(answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, token: token}

    routers = [give_form(FakeRouter(scenario, token), telling) for _ in range(2)]
    with routers[0] as router, routers[1] as echo:
        echo.fail("status", status=403, times=100, body={"detail": f"{token} is not valid"})
        given = {
            **settings(router.url, token, record="recordings"),
            "OPS_BEARER_TOKEN": OTHER,
            "LEAKY_ROUTER": echo.url,
            "GITHUB_ACTIONS": "true",
            **env,
        }
        sinks = run(folder, "leaky", *arguments, env=given)
        assert router.instances
        assert all(it.deleted for it in router.instances)
    return sinks


@pytest.mark.parametrize("case", sampled("leaks", ALL, SAMPLE, name=", ".join))
def test_no_part_of_the_token_is_anywhere(case: tuple[str, str], tmp_path: Path) -> None:
    which, name = case
    token, env = TOKENS[which], {"CI": "true"} if name == "on a CI" else {}
    sinks = leaky_run(tmp_path / "run", token, *CONFIGURATIONS[name], **env)
    assert sinks.code == 1, sinks.texts["stdout"]
    assert sinks.texts.keys() >= SINKS
    assert [name for name, text in sinks.texts.items() if "recordings/" in name and "*" * 8 in text]
    assert ("pytestdebug.log" in sinks.texts) == ("--debug" in name)
    assert "hydra-smoke" in "".join(sinks.arguments)
    assert not sinks.holding(windows(token) | windows(OTHER) | spellings(token))


@pytest.mark.leaks
@pytest.mark.parametrize("name", ["-l", "-n 2", "--debug"])
def test_no_part_of_a_token_that_is_not_in_use_is_anywhere(name: str, tmp_path: Path) -> None:
    # The environment's own, in a run against the bundled fake.
    env = {
        **settings("https://router.example", TOKENS["36"]),
        "OPS_BEARER_TOKEN": OTHER,
        "LEAKY_ROUTER": "http://127.0.0.1:9",
    }
    arguments = (*CONFIGURATIONS[name], "-k", "other")
    sinks = run(tmp_path / "run", "leaky", *arguments, env=env, switch="--hydra-smoke-fake")
    assert "FAKE" in sinks.texts["stdout"]
    assert "test_others_told_back" in sinks.texts["stdout"]
    assert not sinks.holding(windows(TOKENS["36"]) | windows(OTHER))


@pytest.mark.leaks
def test_without_the_second_line_it_would_be_everywhere(tmp_path: Path) -> None:
    # Or nothing would be shown by finding none.
    token = TOKENS["36"]
    arguments = ("-l", "--debug", "-p", "no:hydra-smoke-scrub")
    sinks = leaky_run(tmp_path / "run", token, *arguments)
    found = sinks.holding(windows(token))
    others = sinks.holding(windows(OTHER))
    assert {"stdout", "out/junit.xml", "pytestdebug.log"} <= found.keys() & others.keys()
    # Of what the plugin itself writes, nothing hangs on it.
    assert not [name for name in found | others if name.startswith(".hydrasmoke")]
