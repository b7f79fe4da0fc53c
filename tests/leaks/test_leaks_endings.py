"""Runs that end otherwise than at their end: what is said of it holds no part of the token."""

from __future__ import annotations

from pathlib import Path

import pytest
from leaks_tools import Sinks, run, settings, windows

from pytest_hydrasmoke.fake import FakeRouter, Scenario

TOKEN = "q7XwZt3mLk9vRb2yNd5Hc8Fj4Gs6Pa1T"
INTERNAL_ERROR = """
import os

def pytest_runtest_logfinish():
    token = os.environ["HYDRA_SMOKE_TOKEN"]
    raise RuntimeError(f"a plugin with {token}\\n::error::boo")
"""
EXIT = """
import os
import pytest

def pytest_runtest_teardown():
    token = os.environ["HYDRA_SMOKE_TOKEN"]
    pytest.exit(f"enough of {token}", returncode=7)
"""


@pytest.fixture
def router() -> FakeRouter:
    return FakeRouter(Scenario(row_after=0, statuses=((0, "running"),)), TOKEN)


def see(sinks: Sinks, code: int, said: str) -> None:
    assert sinks.code == code
    assert said in sinks.texts["stdout"] + sinks.texts["stderr"]
    assert not sinks.holding(windows(TOKEN))


def test_an_internal_error_is_told_without_the_token(router: FakeRouter, tmp_path: Path) -> None:
    with router:
        env = settings(router.url, TOKEN)
        arguments = ("-l", "test_plain.py")
        sinks = run(tmp_path / "run", "plain", *arguments, env=env, conftest=INTERNAL_ERROR)
        assert all(it.deleted for it in router.instances)
    see(sinks, 3, "RuntimeError: a plugin with ********")


def test_a_run_that_can_t_start_says_so_without_the_token(
    router: FakeRouter, tmp_path: Path
) -> None:
    with router:
        router.fail("poll", status=403, times=99, body={"detail": f"{TOKEN} is not valid"})
        env = settings(router.url, TOKEN, run_id="named")
        sinks = run(tmp_path / "run", "plain", env=env)
    see(sinks, 4, "poll was refused with 403: ******** is not valid")


def test_an_exit_and_a_leak_that_no_summary_tells_are_told_without_the_token(
    router: FakeRouter, tmp_path: Path
) -> None:
    with router:
        router.fail("delete", status=403, times=99, body={"detail": f"{TOKEN} is not valid"})
        env = settings(router.url, TOKEN)
        sinks = run(tmp_path / "run", "plain", "test_plain.py", env=env, conftest=EXIT)
    see(sinks, 7, "enough of ********")
    assert [name for name in sinks.texts if name.endswith("ledger.jsonl")]
    assert "LEAK: " in sinks.texts["stderr"]
    assert "******** is not valid" in sinks.texts["stderr"]
