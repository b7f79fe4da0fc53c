"""The virtual clock by itself: threads and tasks that sleep by it, and who keeps it waiting."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable

import anyio
import pytest
from plugin_tools import until

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke._clock import scheduler
from pytest_hydrasmoke._clock.virtual import Part, part_of

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "STALL_SECONDS", 0.1)


def run_together(*works: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def sleeper(part: Part, clock: VirtualClock, log: list[str], name: str, *naps: float) -> None:
    for nap in naps:
        part.sleep(nap)
        log.append(f"{name} {clock.now():g}")
    part.leave()


@pytest.mark.parametrize("turn", range(10))
def test_threads_wake_one_by_one_in_the_order_of_time_and_then_of_their_seats(turn: int) -> None:
    clock, log = VirtualClock(), list[str]()
    parts = {name: part_of(clock) for name in "abc"}
    naps = {"a": (3, 3), "b": (2, 2, 2), "c": (6,)}
    # However their threads start.
    order = ("abc", "acb", "bac", "bca", "cab", "cba")[turn % 6]
    run_together(*(lambda n=n: sleeper(parts[n], clock, log, n, *naps[n]) for n in order))  # type: ignore[misc]
    assert log == ["b 2", "a 3", "b 4", "a 6", "b 6", "c 6"]


def test_a_thread_that_ends_without_a_word_is_not_waited_for() -> None:
    clock = VirtualClock()
    part = part_of(clock)
    run_together(lambda: part.sleep(1))
    clock.sleep(4)
    assert clock.now() == 5


def test_a_thread_that_waits_for_another_is_not_waited_for(impatient: None) -> None:
    clock = VirtualClock()
    clock.sleep(1)
    run_together(lambda: clock.sleep(10))
    assert clock.now() == 11


def test_a_thread_that_is_at_something_else_is_waited_for_with_patience(impatient: None) -> None:
    clock = VirtualClock()
    clock.sleep(1)
    lock = threading.Lock()
    lock.acquire()

    def work() -> None:
        clock.sleep(10)
        lock.release()

    thread = threading.Thread(target=work)
    thread.start()
    lock.acquire()
    thread.join()
    assert clock.now() == 11


def test_whoever_was_given_a_part_is_waited_for_with_patience(impatient: None) -> None:
    clock = VirtualClock()
    unused = part_of(clock)
    run_together(lambda: clock.sleep(10))
    assert clock.now() == 10
    unused.leave()


def test_whoever_has_thrown_its_part_away_is_not_waited_for() -> None:
    clock = VirtualClock()
    part_of(clock)
    run_together(lambda: clock.sleep(10))
    assert clock.now() == 10


def test_a_sleep_can_be_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    # However long this machine leaves a thread waiting, it is not taken to be at something else.
    monkeypatch.setattr(scheduler, "STALL_SECONDS", math.inf)
    clock = VirtualClock()
    mine, other = part_of(clock), part_of(clock)
    begun, stop, asleep = threading.Event(), threading.Event(), threading.Event()
    ended: list[str] = []

    def check() -> None:
        asleep.set()
        if stop.is_set():
            raise InterruptedError

    def work() -> None:
        # Until this thread waits by the clock too, the other's sleep would be waited for by nobody.
        other.go_first(begun.set)
        other.sleep(1)
        try:
            other.sleep(50, check)
        except InterruptedError:
            ended.append(f"broken off at {clock.now():g}")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert begun.wait(60)
    mine.sleep(2)
    assert asleep.wait(60)
    stop.set()
    thread.join(60)
    assert ended == ["broken off at 2"]
    mine.sleep(3)
    assert clock.now() == 5


def test_time_moved_by_hand_wakes_who_was_due() -> None:
    clock, log = VirtualClock(), list[float]()
    part, held = part_of(clock), part_of(clock)
    held.go_first()
    # This thread is busy, so that time passes by hand only.
    thread = threading.Thread(target=lambda: (part.sleep(10), log.append(clock.now())))
    thread.start()
    clock.advance(25)
    held.leave()
    thread.join()
    assert log == [25]


async def test_tasks_wake_one_by_one() -> None:
    clock, log = VirtualClock(), list[str]()
    parts = {name: part_of(clock) for name in "abc"}

    async def nap(name: str, *naps: float) -> None:
        for seconds in naps:
            await parts[name].sleep_async(seconds)
            log.append(f"{name} {clock.now():g}")

    async with anyio.create_task_group() as group:
        group.start_soon(nap, "c", 6)
        group.start_soon(nap, "b", 2, 2, 2)
        group.start_soon(nap, "a", 3, 3)
    assert log == ["b 2", "a 3", "b 4", "a 6", "b 6", "c 6"]


async def test_a_task_that_is_cancelled_is_not_waited_for() -> None:
    clock = VirtualClock()
    one, two = part_of(clock), part_of(clock)
    async with anyio.create_task_group() as group:
        with one.calling():
            group.start_soon(two.sleep_async, 100)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    assert clock.now() == 0
    await one.sleep_async(5)
    assert clock.now() == 5


async def test_time_stands_still_while_another_task_calls() -> None:
    clock = VirtualClock()
    calling, sleeping = part_of(clock), part_of(clock)
    called = anyio.Event()
    seen: list[float] = []

    async def call() -> None:
        await calling.go_first_async()
        with calling.calling():
            called.set()
            await anyio.wait_all_tasks_blocked()
            seen.append(clock.now())

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await called.wait()
        await sleeping.sleep_async(10)
    assert (seen, clock.now()) == ([0], 10)


async def test_a_task_may_block_its_loop() -> None:
    clock = VirtualClock()
    part = part_of(clock)
    clock.sleep(5)
    await part.sleep_async(5)
    clock.sleep(5)
    assert clock.now() == 15


async def test_a_loop_and_a_thread_take_turns() -> None:
    clock, log = VirtualClock(), list[str]()
    here, there = part_of(clock), part_of(clock)
    thread = threading.Thread(target=sleeper, args=(there, clock, log, "thread", 2, 2))
    thread.start()
    # Until it waits, its place is this thread's, which seems to wait too once its loop is idle.
    until(lambda: there.seat.place is not here.seat.place)
    for _ in range(2):
        await here.sleep_async(3)
        log.append(f"loop {clock.now():g}")
    here.leave()
    await anyio.to_thread.run_sync(thread.join)
    assert log == ["thread 2", "loop 3", "thread 4", "loop 6"]


async def test_a_stream_wakes_once_its_reader_waits_for_more() -> None:
    clock = VirtualClock()
    part, stream = part_of(clock), clock._stream("peer")
    log: list[str] = []

    async def send() -> None:
        for moment in (3, 7):
            await stream.sleep_until(moment)
            log.append(f"sent at {clock.now():g}")
            stream.send(1)
            await sender.send(b"x")
        stream.close()
        sender.close()

    sender, receiver = anyio.create_memory_object_stream[bytes](5)
    part.follow("peer")
    async with anyio.create_task_group() as group, receiver:
        group.start_soon(send)
        for _ in range(2):
            with part.reading("peer", 100, group.cancel_scope.cancel, blocking=False) as took:
                took(len(await receiver.receive()))
            log.append(f"taken at {clock.now():g}")
        await part.sleep_async(1)
        log.append(f"slept until {clock.now():g}")
    assert log == ["sent at 3", "taken at 3", "sent at 7", "taken at 7", "slept until 8"]


async def test_a_stream_that_can_not_send_is_waited_for_with_patience(impatient: None) -> None:
    clock = VirtualClock()
    part, stream = part_of(clock), clock._stream("peer")
    part.follow("peer")
    async with anyio.create_task_group() as group:
        group.start_soon(stream.sleep_until, 3)
        # It wakes at 3, and is heard of no more.
        await part.sleep_async(5)
    assert clock.now() == 5


async def test_a_stranger_s_stream_goes_by_time_moved_by_hand() -> None:
    clock = VirtualClock()
    stream = clock._stream(None)
    async with anyio.create_task_group() as group:
        group.start_soon(stream.sleep_until, 3)
        await anyio.lowlevel.checkpoint()
        clock.advance(2)
        await anyio.wait_all_tasks_blocked()
        assert group.cancel_scope.cancel_called is False
        assert clock.now() == 2
        clock.advance(1)
    stream.close()
    assert clock.now() == 3


def test_nobody_needs_trio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "trio", raising=False)
    clock = VirtualClock()
    clock.sleep(1)
    assert clock.now() == 1


def test_to_sleep_takes_no_time() -> None:
    clock = VirtualClock()
    began = time.process_time()
    for _ in range(1000):
        clock.sleep(3600)
    assert clock.now() == 3_600_000
    print(f"\n1000 hours in {1000 * (time.process_time() - began):.0f} ms of work")
