"""LLM events are those of the turn that made them, in runs of pytest."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from handlers import signalled
from inner import only
from plugin_tools import Project, Ran, count, nothing_left, tampered
from sizes import sampled

from pytest_hydrasmoke.fake import FakeRouter, Scenario

LAGS = Scenario(row_after=0, statuses=((0, "running"),), llm_events_lag=0.2)
ALONE: tuple[str, ...] = only()
TWO = (*only("xdist"), "-p", "no:cacheprovider", "-n2", "--dist=loadgroup")
WAYS = {"alone": ALONE, "two workers": TWO}
alone_at_first = pytest.mark.parametrize(
    "way", sampled("fire", WAYS.values(), [ALONE], name=lambda way: "-".join(way[-2:]))
)


@pytest.fixture
def router(routing: Callable[[Scenario], FakeRouter]) -> FakeRouter:
    return routing(LAGS)


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Iterator[Project]:
    """A project against `router`, where a message may ask for a turn without an LLM event."""

    def change(scope: Any, body: dict[str, Any]) -> None:
        if body.get("message") == "leaves none":
            # It ends before the agent is done, and without a word.
            router.break_stream("end")

    with tampered(router, change) as url:
        patient = {"ready_timeout": 60, "llm_events_timeout": 60, "delete_timeout": 60}
        # A reply that was cut is none of these tests' matter.
        lenient = {"usage_settle": 0.5, "chat_end": "optional"}
        yield project.suite("usage").at(url, run_id="run", **lenient, **patient)


def run(project: Project, *arguments: str, plugins: Any = (), **expected: int) -> Ran:
    """Run pytest live, its main process in this one."""
    result = project.pytester.runpytest_inprocess("--hydra-smoke", *arguments, plugins=plugins)
    return Ran(result, **expected)


# Right after each other, on one instance: the second leaves no LLM event.
TURNS = """
import pytest

@pytest.mark.xdist_group("one")
def test_first(smoke_instance):
    smoke_instance.chat("leaves one")

@pytest.mark.xdist_group("two")
def test_second(takes):
    turn = takes("test_first").chat("leaves none")
    turn.expect_llm_events(at_least=1, timeout=1)

@pytest.mark.xdist_group("one")
def test_third(takes):
    takes("test_second").chat("leaves one")

@pytest.mark.xdist_group("two")
def test_fourth(takes):
    turn = takes("test_third").chat("leaves one")
    turn.expect_llm_events(at_most=1)
"""


@pytest.mark.parametrize(
    ("way", "settle"),
    [
        pytest.param(ALONE, 1, id="alone"),
        pytest.param(ALONE, 0, id="alone, no wait", marks=pytest.mark.fire),
        pytest.param(TWO, 1, id="two workers", marks=pytest.mark.fire),
        pytest.param(TWO, 0, id="two workers, no wait", marks=pytest.mark.fire),
    ],
)
def test_a_turn_has_its_own_llm_events_and_no_others(
    here: Project, router: FakeRouter, way: tuple[str, ...], settle: int
) -> None:
    # Rows may come late on a busy machine.
    here.set(usage_settle=settle, llm_events_timeout=5).write("test_turns.py", TURNS)
    result = run(here, *way, "test_turns.py")
    if settle:
        # Without a wait the second had the first one's, and the fourth the third one's too.
        result.assert_outcomes(passed=3, failed=1)
        result.says("*test_second*", "*got: *0 (1 before the turn, 1 now)*")
    else:
        # Then the account is an error that names the test.
        result.assert_outcomes(passed=2, failed=2)
        for test in ("test_first", "test_third"):
            doubt = f"LLM events of the turn before, of test_turns.py::{test}*, may be among them"
            result.says(f"*got: *{doubt}: there was no wait")
    assert nothing_left(router)
    assert list((here.path / ".hydrasmoke" / "runs").iterdir()) == []


BY_HAND = """
import pytest

@pytest.mark.xdist_group("one")
def test_plain(smoke_instance, smoke_client):
    with smoke_client.stream_chat(smoke_instance.id, "leaves one") as events:
        assert list(events)

@pytest.mark.xdist_group("two")
def test_handle(takes):
    takes("test_plain").chat("leaves one").expect_llm_events(at_most=1)
"""


@alone_at_first
def test_a_turn_of_the_plain_client_is_a_turn(
    here: Project, router: FakeRouter, way: tuple[str, ...]
) -> None:
    seen: list[list[str]] = []

    class Looks:
        def pytest_runtest_teardown(self) -> None:
            folder = here.path / ".hydrasmoke" / "runs" / "run"
            seen.append([path.name for path in folder.glob("turns*")])

    # Rows may come late on a busy machine.
    here.set(usage_settle=1).write("test_by_hand.py", BY_HAND)
    # Neither is it another run's, nor are its LLM events the next turn's.
    run(here, *way, "test_by_hand.py", plugins=[Looks()], passed=2)
    assert len(router.llm_events) == 2
    # What processes share of turns is one file.
    assert seen == ([["turns.jsonl"]] * 2 if way is ALONE else [])


DIED = """
import os
from pathlib import Path
import pytest

@pytest.mark.xdist_group("one")
def test_dies(smoke_instance):
    with smoke_instance.stream_chat("leaves one") as events:
        assert list(events)
        Path("died").touch()
        os._exit(1)

@pytest.mark.xdist_group("one")
def test_next(smoke_instance):
    assert Path("died").exists()
    smoke_instance.chat("leaves one").expect_llm_events(at_most=1)
"""


@pytest.mark.fire
def test_a_turn_whose_worker_died_in_it_is_waited_for(here: Project, router: FakeRouter) -> None:
    here.write("test_died.py", DIED)
    way = (*only("xdist"), "-p", "no:cacheprovider", "-n1")
    run(here, *way, "test_died.py", passed=1, failed=1)
    assert (here.path / "died").exists()
    assert len(router.llm_events) == 2
    assert nothing_left(router)


KEEPS = """
import time
from pathlib import Path
import pytest
from pytest_hydrasmoke import ChatBusyError

kept = []

def test_keeps(smoke_instance):
    kept.append(smoke_instance)

def test_uses_it_beyond_its_test():
    while not Path("chatting").exists():
        time.sleep(0.01)
    try:
        with pytest.raises(ChatBusyError, match="in worker gw"):
            kept[0].chat("loud")
    finally:
        Path("tried").touch()
"""
CHATS = """
import time
from pathlib import Path

def test_chats(takes):
    with takes("test_keeps").stream_chat("loud") as events:
        next(iter(events))
        Path("chatting").touch()
        while not Path("tried").exists():
            time.sleep(0.01)
"""


@pytest.mark.fire
def test_a_turn_under_way_in_another_worker_is_not_taken_for_one_that_was_cut(
    here: Project, router: FakeRouter
) -> None:
    here.write("test_keeps.py", KEEPS)
    here.write("test_chats.py", CHATS)
    run(here, *TWO[:-1], "--dist=loadfile", "test_keeps.py", "test_chats.py", passed=3)
    assert nothing_left(router)


def test_a_signal_ends_a_wait(here: Project, router: FakeRouter) -> None:
    # A wait that nothing ended would be longer than this test has patience.
    here.set(usage_settle=600).write("test_turns.py", TURNS)
    # One before each of two turns, and one in the wait.
    with signalled(signal.SIGINT, lambda: count(router, "llm_events") >= 3):
        result = run(here, *ALONE, "test_turns.py", ret=128 + signal.SIGINT)
    result.says("*provisioned 1, deleted 1, kept 0, leaked 0, unsure 0")
    assert count(router, "chat") == 1
    assert nothing_left(router)


BESIDE = ("-p", "xdist", "-n2", "--dist=loadgroup")


# What workers know of the fake in the main process is how late its rows are, but for gaps.
@pytest.mark.parametrize(
    ("way", "scenario", "settle"),
    [
        pytest.param((), "llm_events_lag = 1.5", 600, id="alone"),
        pytest.param(BESIDE, "llm_events_lag = 0.5", 600, id="two workers"),
        pytest.param(BESIDE, "llm_events_gap = 0.1", 0.5, id="two workers, and gaps"),
    ],
)
def test_an_offline_run_meets_a_lag_and_waits_for_nothing_that_its_fake_knows(
    project: Project, way: tuple[str, ...], scenario: str, settle: float
) -> None:
    # A wait that the fake did not end would be longer than this test has patience.
    project.write("lags.toml", scenario)
    project.suite("bare").set(usage_settle=settle).write(
        "test_it.py",
        "import anyio, pytest\n"
        "@pytest.mark.xdist_group('one')\n"
        "@pytest.mark.parametrize('number', range(2))\n"
        "def test_it(smoke_instance, number):\n"
        "    turn = smoke_instance.chat('hello')\n"
        "    turn.expect_llm_events(exactly=1, only={'anthropic'})\n"
        "@pytest.mark.xdist_group('two')\n"
        "def test_async(async_smoke_instance_factory):\n"
        "    async def body():\n"
        "        async with await async_smoke_instance_factory() as instance:\n"
        "            for _ in range(2):\n"
        "                turn = await instance.chat('hello')\n"
        "                await turn.expect_llm_events(exactly=1)\n"
        "    anyio.run(body)\n",
    )
    lags = "--hydra-smoke-scenario=lags.toml"
    project.fake(lags, *way, "test_it.py", passed=3)
