"""A process that can start no thread, as at a container's limit of pids, deletes all the same."""

from __future__ import annotations

import pytest
from plugin_tools import ASYNCIO, Project, nothing_left

from pytest_hydrasmoke.fake import FakeRouter

NO_MORE = """
import threading
def at_the_limit(thread):
    raise RuntimeError("can't start new thread")
"""
SUITES = {
    "sync": """
def test_many(smoke_instance_factory):
    assert len(smoke_instance_factory.many(3)) == 3
    threading.Thread.start = at_the_limit
""",
    "sync, in the test": """
def test_many(smoke_instance_factory):
    threading.Thread.start = at_the_limit
    with smoke_instance_factory.many(3) as many:
        turns = [one.chat("hi") for one in many]
        [turn.expect_llm_events(exactly=1) for turn in turns]
""",
    "async": """
async def test_many(async_smoke_instance_factory):
    assert len(await async_smoke_instance_factory.many(3)) == 3
    threading.Thread.start = at_the_limit
""",
    "async, in the test": """
async def test_many(async_smoke_instance_factory):
    threading.Thread.start = at_the_limit
    async with await async_smoke_instance_factory.many(3) as many:
        turns = [await one.chat("hi") for one in many]
        [await turn.expect_llm_events(exactly=1) for turn in turns]
""",
}


@pytest.mark.parametrize("suite", SUITES)
def test_it_deletes_all(project: Project, router: FakeRouter, suite: str) -> None:
    project.at(router, bundled_checks="false", max_instances=3)
    project.set(url=router.url.replace("127.0.0.1", "localhost"))  # A name, which is looked up.
    project.write("test_it.py", f"{NO_MORE}{SUITES[suite]}")
    options = (*ASYNCIO, "-oasyncio_mode=auto", "test_it.py")
    result = project.process("--hydra-smoke", *options, ret=0)
    result.says("*provisioned 3, deleted 3, kept 0, leaked 0, unsure 0")
    assert nothing_left(router)
