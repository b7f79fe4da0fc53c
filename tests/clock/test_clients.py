"""The virtual clock: time passes when all who go by it wait, and the same things happen each time.

Nothing in here waits for real time, but for what the clock's own safety net takes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest
from net_tools import (
    KINDS,
    SPEC,
    World,
    all_of,
    config_for,
    next_of,
    on_clock,
    result,
    smoke_session,
    within,
)

from pytest_hydrasmoke import AsyncSmokeClient, ChatTimeoutError, SmokeClient, VirtualClock
from pytest_hydrasmoke._clock.io import async_io
from pytest_hydrasmoke.fake import FakeRouter, Scenario

pytestmark = pytest.mark.anyio

SLOW = Scenario(
    row_after=20,
    statuses=((0, "queued"), (30, "booting"), (600, "running")),
    event_pause=3,
    llm_events_lag=5,
    reply="Yes",
)
"""Ten minutes of provisioning, and a chat that takes its time."""
QUICK = replace(SLOW, row_after=0.5, statuses=((0, "queued"), (2, "running")))
SAID = 5
"""Events of a turn."""
Transcript = list[tuple[Any, ...]]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def anyio_backend(kind: str) -> str:
    return "trio" if kind == "trio" else "asyncio"


def transcript(fake: FakeRouter, since: int = 0) -> Transcript:
    """Return what arrived: when, what, about which instance, and how it was answered.

    `since` leaves out the first requests, such as those that ask for what nobody has.
    """
    names = {instance.id: instance.idempotency_key for instance in fake.instances}
    told: Transcript = []
    for request in fake.requests[since:]:
        path = request.path
        for instance_id, key in names.items():
            path = path.replace(instance_id, key)
        key = request.body.get("idempotency_key") if isinstance(request.body, dict) else None
        told.append((round(request.at, 6), request.method, path, key, request.status))
    # Who comes first at the same moment is left to threads and loops.
    return sorted(told, key=repr)


def live(client: SmokeClient, clock: VirtualClock, number: int) -> list[float]:
    """Take one instance through its life; gives when its events came."""
    key = f"key-{number}"
    client.provision(SPEC, key)
    while (found := client.poll(key)).instance_id is None or not found.found:
        clock.sleep(1 + number)
    while client.status(found.instance_id).status != "running":
        clock.sleep(3 + number)
    with client.stream_chat(found.instance_id, "hello") as events:
        at = [event.at for event in events]
    while not client.llm_events(found.instance_id).count:
        clock.sleep(2)
    client.delete(found.instance_id)
    return at


async def live_async(client: AsyncSmokeClient, number: int) -> None:
    key = f"key-{number}"
    await client.provision(SPEC, key)
    # By its own sleeps: what is refused for a while is asked for again.
    found = await client.poll(key)
    assert not found.found
    async with client.stream_chat(await ready(client, key), "hello") as events:
        assert len([event async for event in events]) == SAID


async def ready(client: AsyncSmokeClient, key: str) -> str:
    while not (found := await client.poll(key)).found or found.status != "running":
        await client._io.sleep(3)
    assert found.instance_id is not None
    return found.instance_id


# One client


def test_ten_minutes_of_provisioning_take_no_time_and_the_timeline_reads_in_minutes() -> None:
    clock = VirtualClock()
    began = time.process_time()
    with FakeRouter(SLOW, clock=clock) as fake:
        session = smoke_session(config_for(fake))
        on_clock(session, clock)
        instance = session.provision(SPEC)
        turn = instance.chat("hello")
        turn.expect_llm_events(at_most=1)
        [told] = session.records
        session.close()
    assert 600 < clock.now() < 700
    assert told.phases["ready"] == pytest.approx(600, abs=6)
    assert (turn.first_event_after, turn.duration) == (0, pytest.approx(3 * (SAID - 1)))
    took = 1000 * (time.process_time() - began)
    print(f"\n{clock.now():.0f} s in {took:.0f} ms of work, {len(fake.requests)} requests")


async def test_a_stream_goes_by_the_clock_whatever_its_reader_does(kind: str) -> None:
    async with World(kind, QUICK) as world:
        instance = await world.provision()
        start = world.clock.now()
        at: list[float] = []
        async with within(instance.stream_chat("hello")) as events:
            while (event := await next_of(events)) is not None:
                at.append(event.at)
                assert world.clock.now() == pytest.approx(start + event.at)
        assert at == pytest.approx([0, 3, 6, 9, 12])
        # It stalls, and is over at its deadline.
        world.fake.break_stream("stall", after_events=2)
        with pytest.raises(ChatTimeoutError, match="did not end within 90 s"):
            await result(instance.chat("hello", timeout=90))
        assert world.session.records[0].turns[-1].at + 90 == pytest.approx(world.clock.now())
        # Its reader leaves, and another sleeps.
        async with within(instance.stream_chat("hello")) as events:
            await next_of(events)
        assert len(world.fake.llm_events) == 1
        async with within(instance.stream_chat("hello")) as events:
            await next_of(events)
            start = world.clock.now()
            world.clock.sleep(100)
            assert world.clock.now() == pytest.approx(start + 100)
            assert len(await all_of(events)) == SAID - 1


# Several


def in_threads(number: int) -> Transcript:
    clock = VirtualClock()
    at: dict[int, list[float]] = {}
    with FakeRouter(QUICK, clock=clock) as fake:
        clients = [SmokeClient(fake.url, token=fake.token, clock=clock) for _ in range(number)]

        def work(n: int) -> None:
            with clients[n] as client:
                at[n] = live(client, clock, n)

        threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return [*transcript(fake), *sorted(at.items()), clock.now()]  # type: ignore[list-item]


def many(number: int) -> Transcript:
    """What `factory.many` does, in threads."""
    clock = VirtualClock()
    with FakeRouter(QUICK, clock=clock) as fake:
        session = smoke_session(config_for(fake, max_instances=number))
        learned = len(fake.requests)
        on_clock(session, clock)
        assert len(session.many(number, SPEC)) == number
        session.close()
        return transcript(fake, learned)


def many_async(number: int, backend: str) -> Transcript:
    """What `factory.many` does, in tasks."""
    clock = VirtualClock()
    with FakeRouter(QUICK, clock=clock) as fake:
        session = smoke_session(config_for(fake, max_instances=number))
        learned = len(fake.requests)

        async def run() -> None:
            io = async_io(session.config.link, clock)
            assert len(await session.many_async(io, number, SPEC)) == number
            await io.aclose()

        anyio.run(run, backend=backend)
        return transcript(fake, learned)


def in_tasks(number: int, backend: str) -> Transcript:
    clock = VirtualClock()
    with FakeRouter(QUICK, clock=clock) as fake:

        async def run() -> None:
            clients = [
                AsyncSmokeClient(fake.url, token=fake.token, clock=clock) for _ in range(number)
            ]
            async with anyio.create_task_group() as group:
                for n, client in enumerate(clients):
                    group.start_soon(live_async, client, n)
            for client in clients:
                await client.aclose()

        anyio.run(run, backend=backend)
        return transcript(fake)


WAYS: dict[str, Callable[[int], Transcript]] = {
    "threads": in_threads,
    "many": many,
    "tasks on asyncio": lambda number: in_tasks(number, "asyncio"),
    "tasks on trio": lambda number: in_tasks(number, "trio"),
    "many on asyncio": lambda number: many_async(number, "asyncio"),
    "many on trio": lambda number: many_async(number, "trio"),
}


@pytest.mark.parametrize("way", list(WAYS))
def test_several_at_once_do_the_same_each_time(way: str) -> None:
    number = 3
    told = WAYS[way](number)
    assert told
    assert WAYS[way](number) == told
    print(f"\n{way}: {number} clients, {len(told)} entries")


# Readers that do not go by the clock


def test_a_stranger_reads_by_time_moved_by_hand() -> None:
    clock = VirtualClock()
    with FakeRouter(QUICK, clock=clock) as fake:
        with SmokeClient(fake.url, token=fake.token, clock=clock) as client:
            client.provision(SPEC, "key")
            clock.advance(60)
            instance_id = client.poll("key").instance_id
        headers = {"authorization": f"Bearer {fake.token}"}
        with httpx.Client(
            base_url=fake.url, headers=headers, trust_env=False, verify=False
        ) as stranger:
            path = f"/internal/v1/smoke/instances/{instance_id}/chat"
            with stranger.stream("POST", path, json={"message": "hello"}) as answer:
                chunks = answer.iter_raw()
                next(chunks)
                clock.advance(3)
                next(chunks)
                clock.advance(60)
                assert b"".join(chunks).endswith(b"[DONE]\n\n")
    assert clock.now() == 123
