"""Calls of the asynchronous API without `await`: they do nothing, and so the run is red."""

from __future__ import annotations

from plugin_tools import Project, alone_or_workers

SUITE = """
import pytest

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

async def test_turn(async_smoke_instance):
    turn = await async_smoke_instance.chat("hi")
    turn.expect_llm_events(exactly=77)
    turn.expect_llm_events(exactly=78)

async def test_instance(async_smoke_instance):
    assert async_smoke_instance.chat("hi")

def test_client(async_smoke_client):
    async_smoke_client.poll("made-up")

async def test_right(async_smoke_instance):
    await async_smoke_instance.status()
    mine()

async def mine():
    pass
"""


@alone_or_workers
def test_what_is_never_awaited_makes_the_run_red(
    project: Project, workers: tuple[str, ...]
) -> None:
    project.suite("bare").write("test_it.py", SUITE)
    result = project.fake("-p", "anyio.pytest_plugin", *workers, "-W", "default", "test_it.py")
    assert result.ret == 1
    result.assert_outcomes(passed=4, failed=3, warnings=5)
    words = "called without await, so nothing was done"
    result.stdout.fnmatch_lines_random(
        [
            f"AsyncChatTurn.expect_llm_events: {words}",
            f"AsyncSmokeInstance.chat: {words}",
            f"AsyncSmokeClient.poll: {words}",
            "FAILED hydra-smoke::missing await::test_it.py::test_turn*",
        ]
    )
