"""A call that was never awaited fails its run, whatever becomes of Python's warning of it."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from plugin_tools import ASYNCIO, Project

from pytest_hydrasmoke._plugin.unawaited import Unawaited

HELPERS = "async def says_hi(odd, agent): await agent.chat('hi')\n"
SUITE = """
import unittest, pytest
from helpers import says_hi
class Odd: __module__ = None
async def says_hello(agent):
    assert "hello" in (await agent.chat("hi")).text
async def test_one(async_smoke_instance):
    turn = await async_smoke_instance.chat("hi")
    turn.expect_llm_events(at_least=99)
    says_hello(async_smoke_instance)
    says_hi(Odd(), async_smoke_instance)
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
    "test_one": "AsyncChatTurn.expect_llm_events, says_hello, says_hi",
    "test_a_stream": "stream_chat",
    "TestPlain::test_hello": "TestPlain.test_hello",
}
# What held it is freed by a collection of garbage only, whenever one comes.
IN_A_CYCLE = """
import pytest
async def test_one(async_smoke_instance):
    await async_smoke_instance.status()
    with pytest.raises(ValueError) as told:
        int("hi")
    turn = async_smoke_instance.chat("hi")
"""
RAISES = """
import unittest, pytest
async def says_both(agent, what):
    stream, turns = agent.stream_chat("hi"), [agent.chat(word) for word in ("one", "two")]
    await turns[0]
    what()
    await turns[1]
    async with stream: ...
def once(what, tries=[]):
    tries.append(what)
    assert tries.count(what) > 1
@pytest.mark.flaky(reruns=1)
async def test_again(async_smoke_instance):
    await says_both(async_smoke_instance, lambda: once("again"))
@pytest.fixture
async def greeted(async_smoke_instance):
    await says_both(async_smoke_instance, lambda: once("set up"))
@pytest.mark.flaky(reruns=1)
async def test_set_up(greeted): ...
@pytest.mark.hydra_smoke_runs(2, at_least=1)
async def test_runs(async_smoke_instance):
    await says_both(async_smoke_instance, lambda: once("runs"))
@pytest.mark.xfail
async def test_expected(async_smoke_instance):
    await says_both(async_smoke_instance, lambda: 1 / 0)
async def test_skips(async_smoke_instance):
    await says_both(async_smoke_instance, lambda: pytest.skip("not today"))
class TestPlain(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _agent(self, smoke_instance):
        self.agent = smoke_instance
    def test_skips(self):
        stream = self.agent.stream_chat("hi")
        self.skipTest("not today")
@pytest.fixture(scope="module")
def stream(smoke_instance_factory):
    return smoke_instance_factory().stream_chat("hi")
def test_has_a_stream(stream): assert stream
def test_enters_it(stream):
    with stream: assert list(stream)
"""
ENDS = """
import pytest
async def test_one(async_smoke_instance):
    stream, turn = async_smoke_instance.stream_chat("hi"), async_smoke_instance.chat("hi")
    pytest.exit("enough")
    await turn
    async with stream: ...
"""


@pytest.mark.parametrize(
    "arguments",
    [("-Wignore",), ("-Werror",), ("-p", "no:warnings"), ("-p", "xdist", "-n1", "-Wignore")],
    ids=" ".join,
)
def test_it_fails_the_run(project: Project, arguments: tuple[str, ...]) -> None:
    project.write_all({"test_it.py": SUITE, "helpers.py": HELPERS})
    options = (*ASYNCIO, "-oasyncio_mode=auto", *arguments)
    result = project.fake(*options, "test_it.py", ret=pytest.ExitCode.TESTS_FAILED)
    for test, names in NOTHING_DONE.items():
        result.says(f"{names}: called without await, or with, so nothing was done")
        result.says(f"FAILED hydra-smoke::missing await::test_it.py::{test}*")
    assert result.stdout.str().count("FAILED hydra-smoke::") == len(NOTHING_DONE)
    result.says("*test_it.py:12: RuntimeWarning: stream 'stream_chat' was never entered *")


def test_one_in_a_cycle_is_found_at_the_latest_when_the_run_ends(project: Project) -> None:
    project.write("test_it.py", IN_A_CYCLE)
    options = (*ASYNCIO, "-oasyncio_mode=auto", "test_it.py")
    result = project.fake(*options, ret=pytest.ExitCode.TESTS_FAILED)
    # Garbage may be collected before, at any time.
    result.says(
        "*missing await of *",
        "AsyncSmokeInstance.chat: called without await*",
        "FAILED hydra-smoke::missing await::*",
    )


def test_nothing_is_asked_of_what_raises_nor_of_a_test_that_leaves_it_to_another(
    project: Project,
) -> None:
    project.write("test_it.py", RAISES)
    options = (*ASYNCIO, "-oasyncio_mode=auto", "-p", "pytest_rerunfailures", "test_it.py")
    # In this process, pytest's recorder of hooks would keep what was raised.
    result = project.process("--hydra-smoke-fake", *options, ret=0)
    result.says("*5 passed, 2 skipped, 1 xfailed, 2 rerun in *")


def test_nor_of_one_that_ends_the_session(project: Project) -> None:
    project.write("test_it.py", ENDS)
    options = (*ASYNCIO, "-oasyncio_mode=auto", "test_it.py")
    result = project.process("--hydra-smoke-fake", *options, ret=pytest.ExitCode.INTERRUPTED)
    result.stdout.no_fnmatch_line("*missing await*")


async def own() -> None: ...


def test_another_s_is_told_where_python_tells_it(pytestconfig: pytest.Config) -> None:
    seen = Unawaited(pytestconfig)
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
    seen = Unawaited(pytestconfig)
    monkeypatch.setattr(seen, "_tell", found.append)
    hook = seen.pytest_runtestloop()
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(None)
    assert found == [""]


def test_python_may_have_no_such_function(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(warnings, "_warn_unawaited_coroutine")
    seen = Unawaited(pytestconfig)
    seen.pytest_configure()
    seen.pytest_unconfigure()
    assert not hasattr(warnings, "_warn_unawaited_coroutine")
