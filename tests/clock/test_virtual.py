"""The virtual clock by itself: threads and tasks that sleep by it, and who keeps it waiting."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial

import anyio
import pytest
from plugin_tools import until

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke._clock import virtual

pytestmark = pytest.mark.anyio

LOOPS = pytest.mark.parametrize("kind", ["asyncio", "trio"], indirect=True)
ALL = {"a": (3, 3), "b": (2, 2, 2), "c": (7,)}
"""Who sleeps for how long, one nap after the other."""
IN_ORDER = ["b 2", "a 3", "b 4", "a 6", "b 6", "c 7"]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    # A busy machine may give a thread no time for a second, and the order is that of time alone.
    monkeypatch.setattr(virtual, "PATIENCE", 3_000)


@pytest.fixture
def impatient(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "PATIENCE", 5)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def began(*works: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    return threads


def end(threads: list[threading.Thread]) -> None:
    """See to it that a thread that waits for ever is a failure, and no test without end."""
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def asleep(clock: VirtualClock, number: int = 1) -> None:
    """Wait until so many wait by the clock."""
    until(lambda: len(clock._schedule.waits) == number)


async def all_asleep(clock: VirtualClock, number: int = 1) -> None:
    """Let tasks go on until so many wait by the clock: in a moment of their own all are blocked."""
    for _ in range(100_000):
        if len(clock._schedule.waits) == number:
            return
        await anyio.lowlevel.checkpoint()
    pytest.fail("they do not sleep")


def assert_in_order(log: list[str]) -> None:
    assert sorted(log, key=lambda line: line[-1]) == log
    assert sorted(log) == sorted(IN_ORDER)


# Threads


def test_threads_wake_one_by_one_in_the_order_of_time(clock: VirtualClock) -> None:
    log: list[str] = []
    clock._schedule.take()

    def sleep(name: str) -> None:
        for nap in ALL[name]:
            clock.sleep(nap)
            log.append(f"{name} {clock.now():g}")

    threads = began(*(partial(sleep, name) for name in ALL))
    asleep(clock, len(ALL))
    assert (log, clock.now()) == ([], 0)  # since this thread has the turn
    clock._schedule.leave()
    end(threads)
    assert_in_order(log)


def test_a_thread_that_ends_waits_for_another_or_is_at_something_else_holds_nobody_up(
    clock: VirtualClock, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "trio", raising=False)  # Nobody needs it.
    end(began(lambda: clock.sleep(1)))
    clock.sleep(4)
    assert clock.now() == 5
    # This thread has the turn, and waits for another's end; then for its lock.
    end(began(lambda: clock.sleep(10)))
    assert clock.now() == 15
    clock.sleep(1)
    lock = threading.Lock()
    lock.acquire()
    threads = began(lambda: (clock.sleep(10), lock.release()))
    lock.acquire()
    end(threads)
    assert clock.now() == 26
    for _ in range(1000):  # To sleep takes no time.
        clock.sleep(3600)
    assert clock.now() == 3_600_026


def test_a_sleep_can_be_broken_off_and_time_moved_by_hand_wakes_who_was_due(
    clock: VirtualClock,
) -> None:
    def check() -> None:
        if stop.is_set():
            raise InterruptedError

    def work() -> None:
        with pytest.raises(InterruptedError):
            clock._schedule.sleep(50, check)
        log.append(clock.now())
        clock.sleep(10)
        log.append(clock.now())

    stop, log = threading.Event(), list[float]()
    clock._schedule.take()
    threads = began(work)
    asleep(clock)
    stop.set()
    until(lambda: log == [0] and len(clock._schedule.waits) == 1)
    clock.advance(25)
    clock._schedule.leave()
    end(threads)
    assert log == [0, 25]
    clock.sleep(3)
    assert clock.now() == 28


# Tasks


@LOOPS
async def test_tasks_wake_one_by_one(kind: str, clock: VirtualClock) -> None:
    log: list[str] = []
    clock._schedule.take()

    async def sleep(name: str) -> None:
        for nap in ALL[name]:
            await clock._schedule.sleep_async(nap)
            log.append(f"{name} {clock.now():g}")

    # The task that has the turn waits for the others, and each of them ends without a word.
    async with anyio.create_task_group() as group:
        for name in ALL:
            group.start_soon(sleep, name)
    assert_in_order(log)


@LOOPS
async def test_a_task_that_is_cancelled_is_not_waited_for(kind: str, clock: VirtualClock) -> None:
    async with anyio.create_task_group() as group:
        with clock._schedule.calling():
            group.start_soon(clock._schedule.sleep_async, 100)
            await all_asleep(clock, 2)
            group.cancel_scope.cancel()
    assert clock.now() == 0
    await clock._schedule.sleep_async(5)
    assert clock.now() == 5


@LOOPS
async def test_time_stands_still_while_another_task_calls(
    kind: str, clock: VirtualClock, impatient: None
) -> None:
    called = anyio.Event()
    seen: list[float] = []

    async def call() -> None:
        with clock._schedule.calling():
            called.set()
            await anyio.sleep(5 * virtual.PATIENCE * virtual.LOOK)
            seen.append(clock.now())

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await called.wait()
        await clock._schedule.sleep_async(10)
    assert (seen, clock.now()) == ([0], 10)


@LOOPS
async def test_who_blocks_a_loop_does_not_wait_for_its_tasks(
    kind: str, clock: VirtualClock
) -> None:
    clock.sleep(5)
    await clock._schedule.sleep_async(5)
    clock.sleep(5)
    assert clock.now() == 15

    async def call() -> None:
        with clock._schedule.calling():
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        for number, work in enumerate((call, partial(clock._schedule.sleep_async, 2)), 1):
            group.start_soon(work)
            await all_asleep(clock, number)
        clock.sleep(5)
        assert clock.now() == 20
        group.cancel_scope.cancel()


@LOOPS
async def test_a_loop_and_a_thread_take_turns(kind: str, clock: VirtualClock) -> None:
    log: list[str] = []
    clock._schedule.take()

    def work() -> None:
        for _ in range(2):
            clock.sleep(2)
            log.append(f"thread {clock.now():g}")

    threads = began(work)
    asleep(clock)
    for _ in range(2):
        await clock._schedule.sleep_async(3)
        log.append(f"loop {clock.now():g}")
    await anyio.to_thread.run_sync(end, threads)
    assert log == ["thread 2", "loop 3", "thread 4", "loop 6"]


# Streams


@LOOPS
async def test_a_stream_wakes_once_its_reader_waits_for_more(
    kind: str, clock: VirtualClock
) -> None:
    stream, log = clock._stream("peer"), list[str]()
    pipe = clock._schedule.pipes["peer"]

    async def send() -> None:
        for moment in (3, 7):
            await stream.sleep_until(moment)
            log.append(f"sent at {clock.now():g}")
            stream.send(1)
            await sender.send(b"x")
        stream.close()
        sender.close()

    sender, receiver = anyio.create_memory_object_stream[bytes](5)
    async with anyio.create_task_group() as group, receiver:
        group.start_soon(send)
        for _ in range(2):
            with clock._schedule.waiting(100, group.cancel_scope.cancel, pipe) as wait:
                wait.took = len(await receiver.receive())
            log.append(f"taken at {clock.now():g}")
        await clock._schedule.sleep_async(1)
        log.append(f"slept until {clock.now():g}")
    assert log == ["sent at 3", "taken at 3", "sent at 7", "taken at 7", "slept until 8"]


@LOOPS
async def test_a_stream_goes_on_while_its_reader_sleeps_or_time_is_moved_by_hand(
    kind: str, clock: VirtualClock, impatient: None
) -> None:
    stream, sent = clock._stream("peer"), list[float]()

    async def send() -> None:
        for moment in (3, 7, 12):
            await stream.sleep_until(moment)
            stream.send(1)
            sent.append(clock.now())
        stream.close()

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        await all_asleep(clock, 1)
        await clock._schedule.sleep_async(10)
        assert (sent, clock.now()) == ([3, 7], 10)
        clock.advance(5)
    assert (sent, clock.now()) == ([3, 7, 15], 15)
    # Two strangers' go by time moved by hand alone.
    strangers = [clock._stream(None) for _ in range(2)]
    async with anyio.create_task_group() as group:
        for stranger in strangers:
            group.start_soon(stranger.sleep_until, 18)
        await all_asleep(clock, 2)
        clock.advance(2)
        await all_asleep(clock, 2)
        assert clock.now() == 17
        clock.advance(1)
    for stranger in strangers:
        stranger.close()
    # One that wakes, and is heard of no more, is waited for with patience.
    async with anyio.create_task_group() as group:
        group.start_soon(clock._stream("other").sleep_until, 21)
        await all_asleep(clock, 1)
        await clock._schedule.sleep_async(5)
    assert clock.now() == 23
