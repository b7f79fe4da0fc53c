"""Deadlines under anyio that hold whatever becomes of the loop's own clock."""

from __future__ import annotations

import math
import multiprocessing
import threading
from collections.abc import Iterator

import anyio
import anyio.lowlevel
import pytest
from freezegun import freeze_time

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._transport import alarms
from pytest_hydrasmoke._transport.alarms import Until, sleep

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["", "frozen"])
def frozen(request: pytest.FixtureRequest) -> Iterator[bool]:
    if request.param:
        with freeze_time("2030-01-01"):
            yield True
    else:
        yield False


def waiters() -> list[threading.Thread]:
    return [it for it in threading.enumerate() if it.name == "hydra-smoke-deadlines"]


def until_no_thread_is_left() -> None:
    for thread in waiters():
        thread.join(5)
    assert not waiters()


@pytest.mark.usefixtures("frozen")
async def test_a_block_ends_at_its_deadline() -> None:
    began = clock.now()
    with Until(began + 0.1) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert clock.now() - began >= 0.1


@pytest.mark.usefixtures("frozen")
async def test_what_ends_in_time_is_let_alone() -> None:
    with Until(clock.now() + 60) as scope:
        await anyio.lowlevel.checkpoint()
    with Until(math.inf) as endless:
        await anyio.lowlevel.checkpoint()
    assert not scope.cancel_called
    assert not endless.cancel_called


async def test_a_deadline_that_has_passed_leaves_no_time() -> None:
    with Until(clock.now()) as scope:
        await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught


@pytest.mark.usefixtures("frozen")
async def test_each_of_many_ends_at_its_own() -> None:
    took: dict[float, float] = {}

    async def wait(seconds: float) -> None:
        began = clock.now()
        await sleep(seconds)
        took[seconds] = clock.now() - began

    async with anyio.create_task_group() as group:
        for seconds in (0.2, 0.01, 0.1):
            group.start_soon(wait, seconds)
    assert len(took) == 3
    assert all(took[seconds] >= seconds for seconds in took)


async def test_a_sleep_of_no_time_lets_others_go_on() -> None:
    seen: list[int] = []

    async def other() -> None:
        seen.append(1)

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        while not seen:
            await sleep(0)


async def test_the_thread_ends_with_the_last_deadline() -> None:
    with Until(clock.now() + 60):
        assert len(waiters()) == 1
        with Until(clock.now() + 60):
            assert len(waiters()) == 1
    until_no_thread_is_left()
    with Until(clock.now() + 0.02):
        await anyio.sleep_forever()
    until_no_thread_is_left()


async def test_a_loop_that_has_ended_is_not_told() -> None:
    def elsewhere() -> None:
        async def left_open() -> None:
            alarms._alarms.add(late := Until(clock.now() + 0.05))
            late.loop = alarms.running_loop()

        anyio.run(left_open)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(5)
    until_no_thread_is_left()


def test_one_that_comes_as_the_thread_ends_keeps_it() -> None:
    class Late(set[Until]):
        """Empty at the first look, and not at the second."""

        looks = 0

        def __bool__(self) -> bool:
            self.looks += 1
            return self.looks == 2

    until_no_thread_is_left()
    held = alarms._Alarms()
    thread = held._thread = threading.current_thread()
    held.waiting = Late()
    assert not held._is_over()
    assert held._thread is thread


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
async def test_a_forked_child_has_a_thread_of_its_own() -> None:
    with Until(clock.now() + 60):
        child = multiprocessing.get_context("fork").Process(target=in_child)
        child.start()
        child.join(20)
        assert child.exitcode == 0


def in_child() -> None:
    """Wait in a loop of another thread: this one's is the parent's."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            anyio.run(sleep, 0.01)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert not failed


async def test_two_that_come_at_once_start_one_thread() -> None:
    until_no_thread_is_left()
    held = alarms._Alarms()
    held._thread = threading.current_thread()
    before = threading.active_count()
    held._start()
    assert threading.active_count() == before
