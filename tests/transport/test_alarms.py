"""Deadlines under anyio that hold whatever becomes of the loop's own clock."""

from __future__ import annotations

import math
import multiprocessing
import threading
from contextlib import nullcontext

import anyio
import anyio.lowlevel
import pytest
from freezegun import freeze_time

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._transport import alarms
from pytest_hydrasmoke._transport.alarms import Until, sleep

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("kind", ["asyncio", "trio"], indirect=True),
]


def waiters() -> list[threading.Thread]:
    return [it for it in threading.enumerate() if it.name == "hydra-smoke-deadlines"]


def until_no_thread_is_left() -> None:
    for thread in waiters():
        thread.join(5)
    assert not waiters()


@pytest.mark.parametrize("frozen", [False, True], ids=["", "frozen"])
async def test_a_block_ends_at_its_own_deadline_and_not_before(kind: str, frozen: bool) -> None:
    took: dict[float, float] = {}

    async def wait(seconds: float) -> None:
        began = clock.now()
        await sleep(seconds)
        took[seconds] = clock.now() - began

    with freeze_time("2030-01-01") if frozen else nullcontext():
        began = clock.now()
        with Until(began + 0.1) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert clock.now() - began >= 0.1
        for at in (clock.now() + 60, math.inf):
            with Until(at) as scope:
                await anyio.lowlevel.checkpoint()
            assert not scope.cancel_called
        with Until(clock.now()) as scope:  # No time is left.
            await anyio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        async with anyio.create_task_group() as group:
            for seconds in (0.1, 0.01, 0.05):
                group.start_soon(wait, seconds)
    assert len(took) == 3
    assert all(took[seconds] >= seconds for seconds in took)


async def test_a_sleep_of_no_time_lets_others_go_on(kind: str) -> None:
    async with anyio.create_task_group() as group:
        seen = anyio.Event()

        async def other() -> None:
            seen.set()

        group.start_soon(other)
        while not seen.is_set():
            await sleep(0)


async def test_the_thread_ends_with_the_last_deadline(kind: str) -> None:
    with Until(clock.now() + 60):
        assert len(waiters()) == 1
        with Until(clock.now() + 60):
            assert len(waiters()) == 1
    until_no_thread_is_left()
    with Until(clock.now() + 0.02):
        await anyio.sleep_forever()
    until_no_thread_is_left()


async def test_a_loop_that_has_ended_is_not_told(kind: str) -> None:
    async def left_open() -> None:
        alarms._alarms.add(late := Until(clock.now() + 0.05))
        late.loop = alarms.running_loop()

    thread = threading.Thread(target=anyio.run, args=(left_open,))
    thread.start()
    thread.join(5)
    until_no_thread_is_left()


async def test_one_thread_waits_and_who_comes_as_it_ends_has_another(kind: str) -> None:
    until_no_thread_is_left()
    late = Until(clock.now() + 0.05)
    late.loop = alarms.running_loop()
    held = alarms._Alarms()
    held._runs = True  # A thread that is about to see whether it is needed.
    held.add(late)
    assert not waiters()
    assert held._is_needed()
    held.waiting.discard(late)
    assert not held._is_needed()
    held.add(late)
    assert len(waiters()) == 1
    until_no_thread_is_left()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
async def test_a_forked_child_has_a_thread_of_its_own(kind: str) -> None:
    with Until(clock.now() + 60):
        child = multiprocessing.get_context("fork").Process(target=in_child)
        child.start()
        child.join(20)
        assert child.exitcode == 0


def in_child() -> None:
    """Wait in a loop of another thread: this one's is the parent's."""
    ended: list[None] = []
    thread = threading.Thread(target=lambda: ended.append(anyio.run(sleep, 0.01)), daemon=True)
    thread.start()
    thread.join(10)
    assert ended == [None]
