"""A call that was never awaited fails its run, whatever becomes of Python's warning of it."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from plugin_tools import ASYNCIO, Project

from pytest_hydrasmoke._plugin.unawaited import Unawaited

SUITE = """
import unittest, pytest
async def says_hello(agent):
    assert "hello" in (await agent.chat("hi")).text
async def test_one(async_smoke_instance):
    turn = await async_smoke_instance.chat("hi")
    turn.expect_llm_events(at_least=99)
    says_hello(async_smoke_instance)
def test_a_stream(smoke_instance):
    smoke_instance.stream_chat("hi")
    with smoke_instance.stream_chat("hi") as stream:
        assert list(stream)
class TestPlain(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _agent(self, async_smoke_instance):
        self.agent = async_smoke_instance
    async def test_hello(self):
        await says_hello(self.agent)
def test_that_is_none():
    says_hello(None)
"""
NOTHING_DONE = {
    "test_one": "AsyncChatTurn.expect_llm_events, says_hello",
    "test_a_stream": "stream_chat",
    "TestPlain::test_hello": "TestPlain.test_hello",
}


@pytest.mark.parametrize(
    "arguments",
    [("-Wignore",), ("-Werror",), ("-p", "no:warnings"), ("-p", "xdist", "-n1", "-Wignore")],
    ids=" ".join,
)
def test_it_fails_the_run(project: Project, arguments: tuple[str, ...]) -> None:
    project.write("test_it.py", SUITE)
    options = (*ASYNCIO, "-oasyncio_mode=auto", *arguments)
    result = project.fake(*options, "test_it.py", ret=pytest.ExitCode.TESTS_FAILED)
    for test, names in NOTHING_DONE.items():
        result.says(f"{names}: called without await, or with, so nothing was done")
        result.says(f"FAILED hydra-smoke::missing await::test_it.py::{test}*")
    assert result.stdout.str().count("FAILED hydra-smoke::") == len(NOTHING_DONE)


async def own() -> None: ...


def test_another_s_is_told_where_python_tells_it(pytestconfig: pytest.Config) -> None:
    seen = Unawaited(pytestconfig, set())
    seen.pytest_configure()
    try:
        with pytest.warns(RuntimeWarning, match="'own' was never awaited") as told:
            own()
    finally:
        seen.pytest_unconfigure()
    assert [Path(it.filename) for it in told] == [Path(__file__)]


def test_one_that_goes_between_tests_is_of_none(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    seen = Unawaited(pytestconfig, set())
    monkeypatch.setattr(seen, "_tell", found.append)
    hook = seen.pytest_sessionfinish()
    next(hook)
    assert found == [""]


def test_python_may_have_no_such_function(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(warnings, "_warn_unawaited_coroutine")
    seen = Unawaited(pytestconfig, set())
    seen.pytest_configure()
    seen.pytest_unconfigure()
    assert not hasattr(warnings, "_warn_unawaited_coroutine")
