"""`IO.gather`: works side by side, each in a thread with an IO of its own, and what ends them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import anyio
import pytest
from faulty_server import FaultyServer, answer, stall_before_head
from net_tools import KINDS, SOME_ID, close, io_of, link_to
from run_tools import interrupt_when, no_thread_left
from systems import DeafEvent

from pytest_hydrasmoke import TransportError, TransportTimeoutError, VirtualClock
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._clock.io import VirtualSyncIO
from pytest_hydrasmoke._transport import gathering
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import IO, Request, StoppedError, Work, drive

pytestmark = pytest.mark.anyio
NOWHERE = "http://127.0.0.1:1"
STATUS = Request("status", "GET", f"/internal/v1/smoke/instances/{SOME_ID}")


def fan(to: str | SyncIO, works: Sequence[Callable[[SyncIO], None]], **how: Any) -> list[Exception]:
    """Do works in threads until one of them fails; gives what failed, in the order of time."""

    async def do(work: Callable[[Any], None], io: IO) -> None:
        work(io)

    io = SyncIO(link_to(to)) if isinstance(to, str) else to
    given = {"together": True, **how}
    failures = drive(io.gather([partial(do, work) for work in works], **given))
    return [*failures.values()]


async def ask(io: IO) -> None:
    assert (await io.send(STATUS, io.now() + 30)).status == 200


@pytest.mark.parametrize(("number", "at_once"), [(3, None), (40, 8)])
def test_works_share_as_many_threads_as_may_be_each_with_an_io_of_its_own(
    number: int, at_once: int | None
) -> None:
    done: list[tuple[int, int, int]] = []
    places = at_once or number
    meet = threading.Barrier(places, timeout=30)

    def work(number: int, io: SyncIO) -> None:
        if number < places:
            meet.wait()  # All of them at once.
        done.append((number, id(threading.current_thread()), id(io)))

    before = set(threading.enumerate())
    assert fan(NOWHERE, [], at_once=at_once) == []
    assert fan(NOWHERE, [partial(work, i) for i in range(number)], at_once=at_once) == []
    assert set(threading.enumerate()) <= before
    assert len({thread for _, thread, _ in done}) == len({io for *_, io in done}) == places
    for place in range(places):
        numbers, *its = zip(*(it for it in done if it[0] % places == place), strict=True)
        assert list(numbers) == list(range(place, number, places))
        assert [len({*it}) for it in its] == [1, 1]


def test_failures_come_in_the_order_in_which_they_happened() -> None:
    def second(io: SyncIO) -> None:
        with contextlib.suppress(StoppedError):
            drive(io.sleep(30))
        # A call of a group that has ended is not sent, though there is no time to try it again.
        drive(Calls(io).status(SOME_ID, deadline=io.now()))

    failures = fan(NOWHERE, [second, lambda io: drive(fail(io))])
    assert [type(it) for it in failures] == [TypeError, StoppedError]
    assert "stopped" in str(failures[1])


def test_as_many_requests_as_threads_are_under_way() -> None:
    all_of_them = threading.Barrier(40, timeout=30)

    def meet(line: Any, request: Any) -> None:
        all_of_them.wait()
        answer({"id": SOME_ID, "status": "running"})(line, request)

    with FaultyServer(meet) as server:
        assert fan(server.url, [lambda io: drive(ask(io))] * 40, at_once=64) == []


@pytest.mark.parametrize("at_once", [None, 3])
@pytest.mark.parametrize("there_are", [0, 2])
def test_what_no_thread_can_do_the_caller_does(
    at_once: int | None, there_are: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = there_are
    start = threading.Thread.start

    def start_a_few(thread: threading.Thread) -> None:
        nonlocal left
        if left == 0:
            raise RuntimeError("can't start new thread")
        left -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_a_few)
    done: list[tuple[int, bool]] = []

    def work(number: int, io: SyncIO) -> None:
        done.append((number, threading.current_thread() is threading.main_thread()))
        if number == 4:
            raise ZeroDivisionError

    works = [partial(work, i) for i in range(6)]
    [failure] = fan(NOWHERE, works, at_once=at_once)
    assert isinstance(failure, ZeroDivisionError)
    assert sorted(number for number, _ in done) == list(range(6))
    shares = 6 if at_once is None else at_once
    assert {number for number, by_caller in done if by_caller} == {
        number for number in range(6) if number % shares >= there_are
    }


def test_what_no_thread_can_do_is_done_on_virtual_time_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "begin", lambda run: False)
    clock = VirtualClock()
    ended: list[float] = []

    def work(io: SyncIO) -> None:
        drive(io.sleep(60))
        ended.append(io.now())

    assert fan(VirtualSyncIO(link_to(NOWHERE), clock), [work] * 3, at_once=2) == []
    assert ended == [60, 120, 180]


# The same for all kinds of IO


async def gather(
    kind: str, works: Sequence[Work], url: str = NOWHERE, **how: Any
) -> Mapping[int, Exception]:
    io = io_of(kind, url)
    try:
        return await io.gather(works, **how)
    finally:
        await close(io)


async def fail(io: IO) -> None:
    raise TypeError("no such thing")


async def test_no_failure_stops_another_work(kind: str) -> None:
    done: list[int] = []

    async def work(number: int, io: IO) -> None:
        await io.sleep(0.05)
        done.append(number)

    works = [fail, partial(work, 1), fail, *(partial(work, number) for number in range(3, 9))]
    for at_once in (None, 2):
        done.clear()
        failures = await gather(kind, works, at_once=at_once)
        assert ({*failures}, sorted(done)) == ({0, 2}, [1, *range(3, 9)])
        assert all(isinstance(it, TypeError) for it in failures.values())
    assert [*await gather(kind, [fail])] == [0]
    assert await gather(kind, []) == {}


def test_a_work_that_waits_for_something_else_than_its_io_fails_and_stops_no_other() -> None:
    done: list[int] = []

    async def work(number: int, io: IO) -> None:
        if number == 0:
            await asyncio.sleep(0)
        done.append(number)

    io = SyncIO(link_to(NOWHERE))
    failures = drive(io.gather([partial(work, number) for number in range(4)], at_once=2))
    assert ([*failures], sorted(done)) == ([0], [1, 2, 3])
    io.close()


async def test_no_more_than_so_many_are_done_at_the_same_time_and_one_where_the_caller_is(
    kind: str,
) -> None:
    together, most = 0, 0
    seen: list[object] = []

    async def work(io: IO) -> None:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await io.sleep(0.02)
        together -= 1
        seen[:] = [threading.current_thread(), io]

    assert await gather(kind, [work] * 9, at_once=3) == {}
    assert 1 < most <= 3
    io = io_of(kind, NOWHERE)
    assert await io.gather([work]) == {}
    assert seen == [threading.current_thread(), io]
    await close(io)


@pytest.mark.parametrize("kind", KINDS[1:], indirect=True)
async def test_what_cancels_the_caller_is_no_failure_of_the_works(kind: str) -> None:
    with anyio.move_on_after(0.05) as scope:
        await gather(kind, [lambda io: io.sleep(30)] * 2)
        raise AssertionError("it goes on")
    assert scope.cancelled_caught


# No more requests than may be in flight


class Busy:
    """A router whose first answer waits until as many are asked for as may be."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock, self._full = threading.Lock(), threading.Event()

    def __call__(self, line: Any, request: Any) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        if self.now == 16:
            self._full.set()
        assert self._full.wait(30)
        with self._lock:
            self.now -= 1
        answer({"id": SOME_ID, "status": "running"})(line, request)


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_more_requests_than_may_be_in_flight_wait_for_their_turn(kind: str) -> None:
    with FaultyServer(busy := Busy()) as server:
        assert await gather(kind, [ask] * 24, server.url) == {}
        assert (len(server.requests), busy.most) == (24, 16)


@pytest.mark.usefixtures("brief_last_words")
@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_a_request_that_waits_for_its_turn_ends_with_its_own_deadline(kind: str) -> None:
    async def hang(io: IO) -> None:
        await io.send(STATUS, io.now() + 30)

    async def wait(io: IO) -> None:
        while len(server.requests) < 16:
            await io.sleep(0.01)
        await io.send(STATUS, io.now() + 0.1)

    with FaultyServer(stall_before_head) as server:
        failures = await gather(kind, [*[hang] * 16, wait], server.url, together=True)
        assert len(server.requests) == 16
    number, error = next(iter(failures.items()))
    assert (number, type(error)) == (16, TransportTimeoutError), "the first that has failed"
    assert not error.reached


# What ends them


def test_an_interrupt_before_all_threads_have_begun_waits_for_those_that_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[threading.Thread] = []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if begun:
            raise KeyboardInterrupt
        start(thread)
        begun.append(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fan(NOWHERE, [lambda io: drive(io.sleep(30))] * 3)
    assert [thread.is_alive() for thread in begun] == [False]


@pytest.mark.parametrize("slow", [0, 2])
def test_an_interrupt_waits_until_every_work_has_ended(slow: int) -> None:
    begun, ended = list[int](), list[int]()
    others = threading.Event()

    def work(number: int, io: SyncIO) -> None:
        begun.append(number)
        try:
            drive(io.sleep(30))
        finally:
            # One has something to finish, such as to write down why it failed.
            if number == slow:
                assert others.wait(30)
            ended.append(number)
            if len(ended) == 2:
                others.set()

    thread = interrupt_when(lambda: len(begun) == 3)
    with pytest.raises(KeyboardInterrupt):
        fan(NOWHERE, [partial(work, number) for number in range(3)])
    assert sorted(ended) == [0, 1, 2]
    assert ended[-1] == slow
    thread.join()


def test_ctrl_c_comes_through_where_it_can_not_break_off_a_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits, stopped = threading.Event(), threading.Event()

    class Deaf(DeafEvent):
        def wait(self, timeout: float | None = None) -> bool:
            waits.set()
            return super().wait(timeout)

    monkeypatch.setattr(gathering, "Once", Deaf)

    def work(io: SyncIO) -> None:
        waits.wait()
        # For this process alone is it, and no signal breaks off what its main thread waits in.
        os.kill(os.getpid(), signal.SIGINT)
        with contextlib.suppress(TransportError):
            drive(io.sleep(math.inf))
        stopped.set()

    with pytest.raises(KeyboardInterrupt):
        fan(NOWHERE, [work, lambda io: None])
    assert (stopped.is_set(), Deaf.endless) == (True, False)


def test_all_threads_together_get_the_time_of_one_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    wait, waits = gathering.clock.wait, list[float]()
    begun, go_on = list[SyncIO](), threading.Event()

    def noted(attempt: Callable[[float], object], seconds: float) -> bool:
        waits.append(seconds)
        return wait(attempt, seconds)

    def deaf(io: SyncIO) -> None:
        begun.append(io)
        go_on.wait(10)

    monkeypatch.setattr(gathering, "JOIN", 0.4)
    monkeypatch.setattr(gathering.clock, "wait", noted)
    before = set(threading.enumerate())
    thread = interrupt_when(lambda: len(begun) == 8)
    with pytest.raises(KeyboardInterrupt):
        fan(NOWHERE, [deaf] * 8)
    # Not that time again for each of the eight.
    assert sum(max(seconds, 0) for seconds in waits[-8:]) < 2 * 0.4
    go_on.set()
    thread.join()
    assert no_thread_left(before)
