"""A call that has begun and not ended fails its test: never awaited, left behind, or cancelled."""

from __future__ import annotations

from fnmatch import fnmatch

import pytest
from plugin_tools import ASYNCIO, Project

SUITE = """
import asyncio, anyio, pytest
async def test_a_task(async_smoke_instance):
    turn = await async_smoke_instance.chat("hi")
    asyncio.create_task(turn.expect_llm_events(at_least=50))
async def test_never_awaited(async_smoke_instance):
    turn = await async_smoke_instance.chat("hi")
    turn.expect_llm_events(at_least=99)
    async_smoke_instance.status()
def test_never_entered(smoke_instance):
    smoke_instance.stream_chat("hi")
    with smoke_instance.stream_chat("hi") as stream:
        assert list(stream)
async def test_a_gathering(async_smoke_client, async_smoke_instance):
    never = lambda status: False
    asyncio.gather(async_smoke_instance.wait(never), async_smoke_client.status("no UUID"))
async def test_a_group_that_is_cancelled(async_smoke_instance):
    async with anyio.create_task_group() as group:
        group.start_soon(async_smoke_instance.wait, lambda status: False)
        await anyio.sleep(0)
        group.cancel_scope.cancel()
async def test_a_time_limit_that_says_nothing(async_smoke_instance):
    with anyio.move_on_after(0.05):
        await async_smoke_instance.wait(lambda status: False)
async def test_a_failure_that_nobody_sees(async_smoke_instance, async_smoke_client):
    asyncio.create_task(async_smoke_client.status("3f2c0b1e-7a54-4c1d-9d0e-2b6f8a1c5d70"))
    await asyncio.sleep(0.5)
async def test_a_client(async_smoke_client):
    async_smoke_client.poll("nobody")
async def test_a_factory(async_smoke_instance_factory):
    async_smoke_instance_factory()
    async_smoke_instance_factory.many(2)
"""
OPEN = {
    "never_awaited": "AsyncChatTurn.expect_llm_events, AsyncSmokeInstance.status",
    "never_entered": "stream_chat",
    "a_task": "AsyncChatTurn.expect_llm_events",
    "a_gathering": "AsyncSmokeInstance.wait",
    "a_group_that_is_cancelled": "AsyncSmokeInstance.wait",
    "a_time_limit_that_says_nothing": "AsyncSmokeInstance.wait",
    "a_failure_that_nobody_sees": "NotFoundError, which nobody saw",
    "a_client": "AsyncSmokeClient.poll",
    "a_factory": "AsyncSmokeInstanceFactory.__call__, AsyncSmokeInstanceFactory.many",
}
WELL = """
import asyncio, pytest
from pytest_hydrasmoke import LlmEventsError, NotFoundError
async def test_tasks_and_gatherings(async_smoke_instance, async_smoke_client):
    status = asyncio.create_task(async_smoke_instance.status())
    turn, events = await asyncio.gather(async_smoke_instance.chat("hi"), asyncio.sleep(0))
    await turn.expect_llm_events(exactly=1)
    assert (await status).status
    async with async_smoke_instance.stream_chat("hi") as stream:
        async for event in stream:
            break
async def test_what_is_to_fail(async_smoke_instance, async_smoke_client):
    turn = await async_smoke_instance.chat("hi")
    with pytest.raises(LlmEventsError):
        await turn.expect_llm_events(at_least=50, timeout=0.1)
    with pytest.raises(NotFoundError):
        await async_smoke_client.status("3f2c0b1e-7a54-4c1d-9d0e-2b6f8a1c5d70")
"""
OF_A_FIXTURE = """
import pytest
@pytest.fixture(scope="module")
def stream(smoke_instance_factory):
    return smoke_instance_factory().stream_chat("hi")
def test_has_it(stream): assert stream
def test_more(stream): assert stream
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
def test_it_fails_the_test(project: Project, arguments: tuple[str, ...]) -> None:
    project.write("test_it.py", SUITE)
    options = (*ASYNCIO, "-oasyncio_mode=auto", *arguments)
    # In this process, pytest would tell of coroutines that nobody awaits.
    result = project.process("--hydra-smoke-fake", *options, "test_it.py", ret=1)
    lines = result.outlines
    if "-Werror" in arguments:
        # pytest itself fails those that were never awaited.
        red = [it for it in lines if it.startswith(("ERROR test_it", "FAILED test_it"))]
        assert len(red) == len(OPEN)
        return
    for test, names in OPEN.items():
        words = f"{names}*: begun, and not ended with the test, so nothing was proved."
        assert any(fnmatch(it, words) for it in lines), test
        assert any(it.startswith(f"ERROR test_it.py::test_{test} - Failed") for it in lines)
    result.says(f"*{len(OPEN)} passed, *{len(OPEN)} errors in *")


def test_what_ends_is_well(project: Project) -> None:
    project.write("test_it.py", WELL)
    options = (*ASYNCIO, "-oasyncio_mode=auto", "test_it.py")
    project.process("--hydra-smoke-fake", *options, ret=0).says("*2 passed in *")


def test_what_a_wider_fixture_offers_is_asked_of_the_last_test(project: Project) -> None:
    project.write("test_it.py", OF_A_FIXTURE)
    result = project.fake("test_it.py", ret=1)
    result.says("stream_chat: begun, and not ended *", "*2 passed, 1 error in *")


def test_nothing_is_asked_of_what_raises_nor_of_a_test_that_leaves_it_to_another(
    project: Project,
) -> None:
    project.write("test_it.py", RAISES)
    options = (*ASYNCIO, "-oasyncio_mode=auto", "-p", "pytest_rerunfailures", "test_it.py")
    # In this process, pytest's recorder of hooks would keep what was raised.
    result = project.process("--hydra-smoke-fake", *options, ret=0)
    result.says("*5 passed, 2 skipped, 1 xfailed, *2 rerun in *")


def test_nor_of_one_that_ends_the_session(project: Project) -> None:
    project.write("test_it.py", ENDS)
    options = (*ASYNCIO, "-oasyncio_mode=auto", "test_it.py")
    result = project.process("--hydra-smoke-fake", *options, ret=pytest.ExitCode.INTERRUPTED)
    result.stdout.no_fnmatch_line("*begun, and not ended*")
