"""No part of the token in anything that a run leaves, however carelessly its tests fail.

A sample is part of the normal tests; `tox -e leaks` runs the whole table, and prints what it
counted.
"""

from __future__ import annotations

import random
import string
from pathlib import Path

import pytest
from leaks_tools import FULL, Sinks, run, settings, table, windows

from pytest_hydrasmoke.fake import FakeRouter, Scenario

LETTERS = string.ascii_letters + string.digits


def made_up(length: int) -> str:
    return "".join(random.Random(length).choices(LETTERS, k=length))


TOKENS = {36: made_up(36), 800: made_up(800)}
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
}
SINKS = {
    "stdout",
    "out/junit.xml",
    "out/summary.md",
    ".hydrasmoke/report.json",
    ".hydrasmoke/report.html",
    ".hydrasmoke/trace.har",
}
SAMPLE = [(36, "-l")]
WHOLE = [(length, name) for length in TOKENS for name in CONFIGURATIONS]


def leaky_run(folder: Path, token: str, *arguments: str, **env: str) -> Sinks:
    """Run the careless suite against a router that tells the token back wherever it can."""
    scenario = Scenario(
        row_after=0,
        statuses=((0, f"wait for {token}"), (0.1, "running")),
        reply=f"I know {token}",
        providers=("anthropic", token),
        extra={token: token},
    )
    with FakeRouter(scenario, token) as router, FakeRouter(scenario, token) as echo:
        echo.fail("status", status=403, times=100, body={"detail": f"{token} is not valid"})
        given = {
            **settings(router.url, token),
            "LEAKY_ROUTER": echo.url,
            "GITHUB_ACTIONS": "true",
            **env,
        }
        sinks = run(folder, "leaky", *arguments, env=given)
        assert router.instances
        assert all(it.deleted for it in router.instances)
    return sinks


@pytest.mark.parametrize(("length", "name"), WHOLE if FULL else SAMPLE)
def test_no_part_of_the_token_is_anywhere(length: int, name: str, tmp_path: Path) -> None:
    token, env = TOKENS[length], {"CI": "true"} if name == "on a CI" else {}
    parts = windows(token)
    sinks = leaky_run(tmp_path / "run", token, *CONFIGURATIONS[name], **env)
    assert sinks.code == 1, sinks.texts["stdout"]
    assert sinks.texts.keys() >= SINKS
    assert "hydra-smoke" in "".join(sinks.arguments)
    found = sinks.holding(parts)
    size = sum(map(len, sinks.texts.values()))
    print(f"\n{length:>3} characters, {name}: {len(sinks)} files, {size:,} characters, ", end="")
    print(f"{len(parts)} windows, {sum(map(len, found.values()))} hits")
    assert not found


@pytest.mark.skipif(not FULL, reason="HYDRA_LEAKS_FULL")
def test_without_the_second_line_it_would_be_everywhere(tmp_path: Path) -> None:
    # Or nothing would be shown by finding none.
    token = TOKENS[36]
    sinks = leaky_run(tmp_path / "run", token, "-l", "-p", "no:hydra-smoke-scrub")
    found = sinks.holding(windows(token))
    print(
        "\n"
        + table(["without the second line", "windows"], ((k, len(v)) for k, v in found.items()))
    )
    assert {"stdout", "out/junit.xml"} <= found.keys()
