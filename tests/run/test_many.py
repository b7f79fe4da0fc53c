"""Several instances at once: all are ready, or none is left; and nothing hangs."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import anyio
import pytest
from faulty_server import (
    Behaviour,
    FaultyServer,
    Line,
    Received,
    answer,
    in_turn,
    stall_before_head,
)
from net_tools import (
    AT_ONCE,
    FIELDS,
    SOME_ID,
    SPEC,
    config_for,
    link_to,
    session_to,
    smoke_session,
)
from systems import DeafEvent
from virtual_network import VirtualNetwork

from pytest_hydrasmoke import (
    AsyncSmokeInstanceFactory,
    ConfigError,
    HydraSmokeError,
    InstanceSpec,
    ProvisionError,
    RouterError,
    SmokeInstance,
    SmokeInstanceFactory,
    TransportError,
    TransportTimeoutError,
    VirtualClock,
)
from pytest_hydrasmoke._api.calls import CALL_TIMEOUT
from pytest_hydrasmoke._core.states import State
from pytest_hydrasmoke._run.factory import at_least_one, merged
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._transport import blocking, threads
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import Request, drive
from pytest_hydrasmoke._transport.threads import fan_out
from pytest_hydrasmoke.fake import FakeRouter, Scenario

pytestmark = pytest.mark.anyio

STATUS = Request("status", "GET", f"/internal/v1/smoke/instances/{SOME_ID}")

Runs = Callable[..., tuple[FakeRouter, SmokeSession]]


@pytest.fixture
def brief_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a request that is to end little time for its answer: here none comes."""
    monkeypatch.setattr(blocking, "STOP_SECONDS", 0.1)


@pytest.fixture
def a_run() -> Iterator[Runs]:
    """Give `a_run(scenario, **settings)`: a fake router, and a run against it in real time."""
    with ExitStack() as stack:

        def make(scenario: Scenario = AT_ONCE, **settings: Any) -> tuple[FakeRouter, SmokeSession]:
            fake = stack.enter_context(FakeRouter(scenario))
            # A provision that was broken off may have no row: its key is asked for that long.
            session = smoke_session(config_for(fake, **{"delete_timeout": 2, **settings}))
            # What it has learned from is no part of its story.
            fake.reset()
            stack.callback(session.close)
            stack.callback(fake._faults.reset)
            return fake, session

        yield make


async def many(kind: str, session: SmokeSession, number: int, **spec: str) -> list[Any]:
    """Ask the factory of a kind."""
    if kind == "sync":
        return list(SmokeInstanceFactory(session).many(number, **spec))
    io = AsyncIO(session.config.link)
    try:
        return list(await AsyncSmokeInstanceFactory(session, io).many(number, **spec))
    finally:
        await io.aclose()


def no_thread_left(before: set[threading.Thread]) -> bool:
    """Return whether every thread that has begun since has ended; a moment is granted."""
    new = [thread for thread in threading.enumerate() if thread not in before]
    for thread in new:
        thread.join(1)
    return not any(thread.is_alive() for thread in new)


# All of them


async def test_many_are_provisioned_at_once(kind: str, a_run: Runs) -> None:
    fake, session = a_run(Scenario(row_after=0.1))
    instances = await many(kind, session, 4)
    routes = [request.route for request in fake.requests]
    # The last was asked for before the first had a row.
    assert routes[: routes.index("status")].count("provision") == 4
    assert {instance.id for instance in instances} == {seen.id for seen in fake.instances}
    assert [instance.idempotency_key for instance in instances] == [f"net-{i}" for i in range(4)]
    session.close()
    assert all(seen.deleted for seen in fake.instances)


async def test_slots_of_which_nothing_was_asked_are_free_again(kind: str, a_run: Runs) -> None:
    fake, session = a_run(max_instances=2)
    # Before a key is provisioned under, it is polled.
    fake.fail("poll", status=403, times=2)
    with pytest.raises(HydraSmokeError):
        await many(kind, session, 2)
    fake._faults.reset()  # The first failure may have stopped the other.
    assert [instance.idempotency_key for instance in await many(kind, session, 2)] == [
        "net-0",
        "net-1",
    ]


async def test_a_factory_makes_one_of_the_runs_spec_with_changes(kind: str, a_run: Runs) -> None:
    fake, session = a_run()
    if kind == "sync":
        factory = SmokeInstanceFactory(session)
        with factory(tier_id="another") as instance:
            assert isinstance(instance, SmokeInstance)
            assert instance.spec == InstanceSpec(**{**FIELDS, "tier_id": "another"})
    else:
        io = AsyncIO(session.config.link)
        async with await AsyncSmokeInstanceFactory(session, io)(tier_id="another") as other:
            assert other.spec == InstanceSpec(**{**FIELDS, "tier_id": "another"})
        await io.aclose()
    assert [seen.tier_id for seen in fake.instances] == ["another"]
    assert fake.instances[0].deleted


async def test_the_hook_for_ready_instances_is_called_with_each(kind: str, a_run: Runs) -> None:
    _, session = a_run()
    seen: list[SmokeInstance] = []
    session.on_ready = seen.append
    instances = await many(kind, session, 2)
    assert [instance.id for instance in seen] == [instance.id for instance in instances]
    assert all(isinstance(instance, SmokeInstance) for instance in seen)


async def test_more_than_allowed_are_refused_before_any_request(kind: str, a_run: Runs) -> None:
    fake, session = a_run(max_instances=2)
    with pytest.raises(ConfigError, match="no room for 3 more"):
        await many(kind, session, 3)
    assert fake.requests == ()
    assert session.records == []
    await many(kind, session, 2)
    before = len(fake.requests)
    with pytest.raises(ConfigError, match="no room for 1 more: max_instances allows 2 in a run"):
        await many(kind, session, 1)
    assert len(fake.requests) == before


@pytest.mark.parametrize("number", [0, -1])
async def test_many_of_nothing_is_a_mistake(kind: str, a_run: Runs, number: int) -> None:
    fake, session = a_run()
    with pytest.raises(ConfigError, match="asks for nothing"):
        await many(kind, session, number)
    assert fake.requests == ()


async def test_a_spec_with_a_field_that_it_has_not_is_a_mistake(kind: str, a_run: Runs) -> None:
    fake, session = a_run()
    with pytest.raises(ConfigError, match="this is not an instance spec: tier: ") as caught:
        await many(kind, session, 1, tier="x")
    assert "manifest_id, region_id, tier_id, agent_name" in str(caught.value)
    assert fake.requests == ()


def test_specs_are_merged_field_by_field() -> None:
    assert merged(SPEC, {"region_id": "north"}).region_id == "north"
    assert merged(SPEC, {"region_id": "north"}).tier_id == SPEC.tier_id
    assert merged(None, FIELDS) == SPEC
    other = InstanceSpec(**{**FIELDS, "agent_name": "Ada"})
    assert merged(SPEC, other) is other
    for wrong in (7, "tier-2", ["a"]):
        with pytest.raises(ConfigError, match="is not a mapping"):
            merged(SPEC, wrong)
    with pytest.raises(ConfigError, match="manifest_id: Field required"):
        merged(None, {"tier_id": "x"})
    assert at_least_one(3) == 3


# One of them fails


async def test_the_first_failure_stops_the_others_and_all_are_deleted(
    kind: str, a_run: Runs
) -> None:
    # They never get ready by themselves: it is the failure that ends them.
    scenario = Scenario(row_after=0, statuses=((0, "queued"),), ready_words=())
    fake, session = a_run(scenario, ready_timeout=30)
    until = time.monotonic() + 30
    fake.fail("status", status=401, after=3)
    with pytest.raises(RouterError) as caught:
        await many(kind, session, 3)
    assert caught.value.status_code == 401
    assert time.monotonic() < until
    assert len(fake.instances) == 3
    assert all(seen.deleted for seen in fake.instances)
    assert {record.state for record in session.records} == {State.GONE}
    assert not [record for record in session.records if record.leak]


async def test_a_refused_request_frees_its_slot_and_not_its_key(kind: str, a_run: Runs) -> None:
    fake, session = a_run(max_instances=1)
    fake.fail("provision", status=422)
    with pytest.raises(RouterError):
        await many(kind, session, 1)
    assert session.records[0].state is State.REFUSED
    [instance] = await many(kind, session, 1)
    assert instance.idempotency_key == "net-1"


def provisioning(behaviour: Behaviour) -> Behaviour:
    """Return a router that provisions like this, and knows of no key."""

    def behave(line: Line, request: Received) -> None:
        provisions = request.target.endswith("/provision")
        (behaviour if provisions else answer({"found": False}))(line, request)

    return behave


@pytest.mark.usefixtures("brief_last_words")
async def test_the_first_failure_ends_a_request_that_hangs(kind: str) -> None:
    refused = answer({"detail": "no"}, 422)
    with (
        FaultyServer(provisioning(in_turn(stall_before_head, refused))) as server,
        session_to(server.url, delete_timeout=0.1) as session,
    ):
        until = time.monotonic() + CALL_TIMEOUT
        with pytest.raises(HydraSmokeError):
            await many(kind, session, 2)
        assert time.monotonic() < until


async def test_a_hook_that_fails_leaves_the_instances_to_the_clean_up(
    kind: str, a_run: Runs
) -> None:
    fake, session = a_run()

    def fail(instance: object) -> None:
        raise ZeroDivisionError

    session.on_ready = fail
    with pytest.raises(ZeroDivisionError):
        await many(kind, session, 2)
    session.close()
    assert all(seen.deleted for seen in fake.instances)


# Cancelled, interrupted


async def test_a_cancelled_many_leaves_its_instances_to_the_clean_up(
    kind: str, a_run: Runs
) -> None:
    if kind == "sync":
        return
    scenario = Scenario(row_after=0, statuses=((0, "queued"),), ready_words=())
    fake, session = a_run(scenario)
    with anyio.move_on_after(0.5) as scope:
        await many(kind, session, 3)
    assert scope.cancelled_caught
    assert len(fake.instances) == 3
    await anyio.to_thread.run_sync(session.close)
    assert all(seen.deleted for seen in fake.instances)


def interrupt_when(condition: Callable[[], bool]) -> threading.Thread:
    """Interrupt the main thread, as Ctrl-C does, once a condition holds."""

    def interrupt() -> None:
        until = time.monotonic() + 5
        while not condition() and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


@pytest.mark.usefixtures("brief_last_words")
def test_an_interrupt_comes_out_of_requests_that_hang_and_no_thread_is_left() -> None:
    router = provisioning(stall_before_head)
    with FaultyServer(router) as server, session_to(server.url) as session:
        before = set(threading.enumerate())
        thread = interrupt_when(lambda: server.count("/provision") == 3)
        until = time.monotonic() + CALL_TIMEOUT
        with pytest.raises(KeyboardInterrupt):
            session.many(3, SPEC)
        assert time.monotonic() < until
        thread.join()
        serving = {*server._threads}
        assert no_thread_left(before | serving)
    assert {record.state for record in session.records} == {State.REQUESTED}


def test_an_interrupt_comes_out_of_sleeps_and_the_clean_up_deletes(a_run: Runs) -> None:
    scenario = Scenario(row_after=0, statuses=((0, "queued"),), ready_words=())
    fake, session = a_run(scenario)
    before = set(threading.enumerate())
    # Each has polled its key, asked for its instance, polled its row and read its status.
    thread = interrupt_when(lambda: len(fake.requests) >= 3 * 4)
    with pytest.raises(KeyboardInterrupt):
        session.many(3, SPEC)
    thread.join()
    assert no_thread_left(before)
    assert not any(seen.deleted for seen in fake.instances)
    session.close()
    assert all(seen.deleted for seen in fake.instances)
    assert len(fake.instances) == 3


# fan_out by itself


def fan(url: str, works: Sequence[Callable[[SyncIO], None]]) -> list[Exception]:
    return fan_out(link_to(url), works)


NOWHERE = "http://127.0.0.1:1"


def test_every_work_has_a_thread_and_an_io_of_its_own() -> None:
    meet = threading.Barrier(3, timeout=5)
    seen: list[tuple[threading.Thread, SyncIO]] = []

    def work(io: SyncIO) -> None:
        meet.wait()  # nobody gets through alone
        seen.append((threading.current_thread(), io))

    assert fan(NOWHERE, [work] * 3) == []
    assert len({id(thread) for thread, _ in seen}) == len({id(io) for _, io in seen}) == 3


def test_ctrl_c_comes_through_where_it_can_not_break_off_a_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits, stopped = threading.Event(), threading.Event()

    class Deaf(DeafEvent):
        def wait(self, timeout: float | None = None) -> bool:
            waits.set()
            return super().wait(timeout)

    monkeypatch.setattr(threads, "Once", Deaf)

    def work(io: SyncIO) -> None:
        waits.wait()
        # For this process alone is it, and no signal breaks off what its main thread waits in.
        os.kill(os.getpid(), signal.SIGINT)
        with contextlib.suppress(TransportError):
            drive(io.sleep(math.inf))
        stopped.set()

    with pytest.raises(KeyboardInterrupt):
        fan(NOWHERE, [work])
    assert stopped.is_set()
    assert not Deaf.endless


def test_failures_come_in_the_order_in_which_they_happened() -> None:
    failed = threading.Event()

    def first(io: SyncIO) -> None:
        try:
            raise ZeroDivisionError
        finally:
            failed.set()

    def second(io: SyncIO) -> None:
        failed.wait(5)
        drive(io.sleep(30))

    failures = fan(NOWHERE, [second, first])
    assert isinstance(failures[0], ZeroDivisionError)
    assert isinstance(failures[1], TransportError)
    assert "stopped" in failures[1].message


def test_no_work_is_no_failure() -> None:
    assert fan(NOWHERE, []) == []
    assert fan_out(link_to(NOWHERE), [], at_once=8) == []


def test_many_works_share_a_few_threads_each_with_an_io_of_its_own() -> None:
    done: list[tuple[int, threading.Thread, SyncIO]] = []
    meet = threading.Barrier(8, timeout=30)

    def work(number: int, io: SyncIO) -> None:
        if number < 8:
            meet.wait()  # All of them at once.
        done.append((number, threading.current_thread(), io))

    before = threading.active_count()
    assert fan_out(link_to(NOWHERE), [partial(work, i) for i in range(400)], at_once=8) == []
    assert threading.active_count() == before
    assert sorted(number for number, _, _ in done) == list(range(400))
    for place in range(8):
        mine = [(number, thread, io) for number, thread, io in done if number % 8 == place]
        assert [number for number, _, _ in mine] == list(range(place, 400, 8))
        assert len({id(thread) for _, thread, _ in mine}) == 1
        assert len({id(io) for _, _, io in mine}) == 1
    assert len({id(io) for _, _, io in done}) == 8


def test_as_many_requests_as_threads_are_under_way() -> None:
    all_of_them = threading.Barrier(40, timeout=30)

    def meet(line: Any, request: Any) -> None:
        all_of_them.wait()
        answer({"id": SOME_ID, "status": "running"})(line, request)

    def work(io: SyncIO) -> None:
        assert drive(io.send(STATUS, io.now() + 30)).status == 200

    with FaultyServer(meet) as server:
        assert fan_out(link_to(server.url), [work] * 40, at_once=64) == []


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
    [failure] = fan_out(link_to(NOWHERE), works, at_once=at_once)
    assert isinstance(failure, ZeroDivisionError)
    assert sorted(number for number, _ in done) == list(range(6))
    shares = 6 if at_once is None else at_once
    assert {number for number, by_caller in done if by_caller} == {
        number for number in range(6) if number % shares >= there_are
    }


def test_what_no_thread_can_do_is_done_on_virtual_time_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "begin", lambda run: False)
    clock = VirtualClock()
    ended: list[float] = []

    def work(io: SyncIO) -> None:
        drive(io.sleep(60))
        ended.append(io.now())

    assert fan_out(link_to(NOWHERE), [work] * 3, network=VirtualNetwork(clock), at_once=2) == []
    assert ended == [60, 120, 180]


def test_more_work_than_may_be_in_flight_waits_for_its_turn() -> None:
    now, most, lock, full = 0, 0, threading.Lock(), threading.Event()

    def busy(line: Any, request: Any) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        # The first answer waits until as many are asked for as may be.
        if now == 16:
            full.set()
        assert full.wait(30)
        with lock:
            now -= 1
        answer({"id": SOME_ID, "status": "running"})(line, request)

    with FaultyServer(busy) as server:

        def work(io: SyncIO) -> None:
            assert drive(io.send(STATUS, io.now() + 5)).status == 200

        assert fan(server.url, [work] * 24) == []
        assert len(server.requests) == 24
    assert most == 16


async def test_more_async_requests_than_may_be_in_flight_wait_for_their_turn(kind: str) -> None:
    if kind == "sync":
        return
    now = most = 0
    lock, full = threading.Lock(), threading.Event()

    def busy(line: Any, request: Any) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        # The first answer waits until as many are asked for as may be.
        if now == 16:
            full.set()
        assert full.wait(30)
        with lock:
            now -= 1
        answer({"id": SOME_ID, "status": "running"})(line, request)

    with FaultyServer(busy) as server:
        io = AsyncIO(link_to(server.url))
        async with anyio.create_task_group() as group:
            for _ in range(24):
                group.start_soon(io.send, STATUS, io.now() + 5)
        await io.aclose()
        assert len(server.requests) == 24
    assert most == 16


def test_a_request_that_waits_for_its_turn_ends_with_its_own_deadline() -> None:
    ended: list[str] = []

    def hang(io: SyncIO) -> None:
        with pytest.raises(TransportTimeoutError):
            drive(io.send(STATUS, io.now() + 0.7))
        ended.append("sent")

    def wait(io: SyncIO) -> None:
        while len(server.requests) < 16:
            time.sleep(0.01)
        with pytest.raises(TransportTimeoutError) as caught:
            drive(io.send(STATUS, io.now() + 0.1))
        assert not caught.value.reached
        ended.append("never sent")

    with FaultyServer(stall_before_head) as server:
        assert fan(server.url, [*[hang] * 16, wait]) == []
        assert len(server.requests) == 16
    assert ended[0] == "never sent"


async def test_an_async_request_that_waits_for_its_turn_ends_with_its_own_deadline(
    kind: str,
) -> None:
    if kind == "sync":
        return
    with FaultyServer(stall_before_head) as server:
        io = AsyncIO(link_to(server.url))
        async with anyio.create_task_group() as group:
            for _ in range(16):
                group.start_soon(io.send, STATUS, io.now() + 30)
            while len(server.requests) < 16:  # noqa: ASYNC110 - a thread counts
                await anyio.sleep(0.01)
            with pytest.raises(TransportTimeoutError) as caught:
                await io.send(STATUS, io.now() + 0.1)
            assert not caught.value.reached
            group.cancel_scope.cancel()
        await io.aclose()
        assert len(server.requests) == 16


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
    assert len(begun) == 1
    assert not begun[0].is_alive()


@pytest.mark.parametrize("slow", range(3))
def test_an_interrupt_waits_until_every_work_has_ended(slow: int) -> None:
    begun: list[int] = []
    ended: list[int] = []
    others = threading.Event()

    def work(number: int) -> Callable[[SyncIO], None]:
        def run(io: SyncIO) -> None:
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

        return run

    thread = interrupt_when(lambda: len(begun) == 3)
    with pytest.raises(KeyboardInterrupt):
        fan(NOWHERE, [work(number) for number in range(3)])
    assert sorted(ended) == [0, 1, 2]
    assert ended[-1] == slow
    thread.join()


def test_all_threads_together_get_the_time_of_one_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "JOIN", 0.4)
    go_on = threading.Event()
    begun = 0

    def deaf(io: SyncIO) -> None:
        nonlocal begun
        begun += 1
        go_on.wait(10)

    before = set(threading.enumerate())
    thread = interrupt_when(lambda: begun == 8)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fan(NOWHERE, [deaf] * 8)
    # Not that time again for each of the eight.
    assert 0.4 < time.monotonic() - start < 8 * 0.4
    go_on.set()
    thread.join()
    assert no_thread_left(before)


@pytest.mark.usefixtures("brief_last_words")
@pytest.mark.parametrize("works", [1, 3])
def test_the_first_failure_ends_what_waits_for_an_answer(works: int) -> None:
    with FaultyServer(stall_before_head) as server:
        until = time.monotonic() + 30

        def hang(io: SyncIO) -> None:
            drive(io.send(STATUS, until))

        def fail(io: SyncIO) -> None:
            assert server.arrived.wait(5)
            raise ZeroDivisionError

        first, *others = fan(server.url, [*[hang] * works, fail])
        assert time.monotonic() < until
    assert isinstance(first, ZeroDivisionError)
    assert len(others) == works
    assert all(isinstance(other, TransportError) for other in others)


async def test_a_failed_instance_among_many_is_named(kind: str, a_run: Runs) -> None:
    fake, session = a_run(Scenario(row_after=0, statuses=((0, "failed"),), ready_words=()))
    with pytest.raises(ProvisionError, match="the instance is 'failed'"):
        await many(kind, session, 2)
    assert all(seen.deleted for seen in fake.instances)


@pytest.mark.parametrize("number", [1, 2])
async def test_what_failed_to_get_ready_is_kept_for_a_look(
    kind: str, a_run: Runs, number: int
) -> None:
    scenario = Scenario(row_after=0, statuses=((0, "failed"),), ready_words=())
    fake, session = a_run(scenario, keep="on-failure")
    # The others are stopped by the first, and may have no row yet.
    with pytest.raises(ProvisionError):
        await many(kind, session, number)
    session.close()
    kept = {record.id for record in session.records if record.state is State.KEPT}
    assert kept
    assert {seen.id for seen in fake.instances if not seen.deleted} == kept
