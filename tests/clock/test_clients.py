"""The virtual clock: time passes when all who go by it wait, and the same things happen each time.

Nothing in here waits for real time, but for what the clock's own safety net takes.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import httpx
import net_tools as net
import pytest

from pytest_hydrasmoke import (
    AsyncSmokeClient,
    AsyncSmokeInstanceFactory,
    ChatTimeoutError,
    RouterError,
    SmokeClient,
    SmokeInstanceFactory,
    VirtualClock,
)
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
RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=-)[0-9a-f]{16}")
"""What nobody has, and a run asks for."""


def test_ten_minutes_of_provisioning_take_no_time_and_the_timeline_reads_in_minutes() -> None:
    clock = VirtualClock()
    with FakeRouter(SLOW, clock=clock) as fake:
        run = net.run_for(net.config_for(fake))
        net.on_clock(run, clock)
        turn = run.provision(net.SPEC).chat("hello")
        turn.expect_llm_events(at_most=1)
        [told] = run.instances
        run.close()
    assert 600 < clock.now() < 700
    assert told.phases["ready"] == pytest.approx(600, abs=6)
    assert (turn.first_event_after, turn.duration) == (0, pytest.approx(3 * (SAID - 1)))


async def test_a_stream_goes_by_the_clock_whatever_its_reader_does(kind: str) -> None:
    async with net.World(kind, QUICK) as world:
        instance = await world.provision()
        start = world.clock.now()
        at: list[float] = []
        async with net.within(instance.stream_chat("hello")) as events:
            while (event := await net.next_of(events)) is not None:
                at.append(event.at)
                assert world.clock.now() == pytest.approx(start + event.at)
        assert at == pytest.approx([0, 3, 6, 9, 12])
        # It stalls, and is over at its deadline.
        world.fake.break_stream("stall", after_events=2)
        with pytest.raises(ChatTimeoutError, match="did not end within 90 s"):
            await net.result(instance.chat("hello", timeout=90))
        assert world.run.instances[0].chats.turns[-1].at + 90 == pytest.approx(world.clock.now())
        # Its reader leaves, and another sleeps.
        async with net.within(instance.stream_chat("hello")) as events:
            await net.next_of(events)
        assert len(world.fake.llm_events) == 1
        async with net.within(instance.stream_chat("hello")) as events:
            await net.next_of(events)
            start = world.clock.now()
            world.clock.sleep(100)
            assert world.clock.now() == pytest.approx(start + 100)
            assert len(await net.all_of(events)) == SAID - 1


async def test_the_error_of_a_call_says_which_it_was_and_how_long_it_was_tried(kind: str) -> None:
    busy = Scenario(trouble="unavailable", trouble_every=1)
    clock = VirtualClock()
    with FakeRouter(busy, clock=clock) as fake:
        asked = net.client_of(kind, fake.url, token=fake.token, clock=clock)
        calls: dict[str, Callable[[], Any]] = {
            "provision": lambda: asked.provision(net.SPEC, "a"),
            "poll": lambda: asked.poll("a"),
            "status": lambda: asked.status(net.SOME_ID),
            "llm_events": lambda: asked.llm_events(net.SOME_ID),
            "delete": lambda: asked.delete(net.SOME_ID),
        }
        for call, ask in calls.items():
            with pytest.raises(RouterError, match=f"{call} was refused with 503") as caught:
                await net.result(ask())
            of = "(key a)" if call in ("provision", "poll") else net.SOME_ID
            assert (caught.value.phase, caught.value.instance) == (call, of)
            assert caught.value.seconds == pytest.approx(29.5, abs=0.5)
        await net.result(asked.close() if isinstance(asked, SmokeClient) else asked.aclose())


# Several


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
        path = RANDOM.sub("random", path)
        key = request.body.get("idempotency_key") if isinstance(request.body, dict) else None
        told.append((round(request.at, 6), request.method, path, key, request.status))
    # Who comes first at the same moment is left to threads and loops.
    return sorted(told, key=repr)


def in_threads(fake: FakeRouter, clock: VirtualClock, number: int) -> Transcript:
    clients = [SmokeClient(fake.url, token=fake.token, clock=clock) for _ in range(number)]
    at: dict[int, list[float]] = {}

    def live(n: int) -> None:
        """Take one instance through its life."""
        with clients[n] as client:
            client.provision(net.SPEC, f"key-{n}")
            while (found := client.poll(f"key-{n}")).instance_id is None or not found.found:
                clock.sleep(1 + n)
            while client.status(found.instance_id).status != "running":
                clock.sleep(3 + n)
            with client.stream_chat(found.instance_id, "hello") as events:
                at[n] = [event.at for event in events]
            while not client.llm_events(found.instance_id).count:
                clock.sleep(2)
            client.delete(found.instance_id)

    threads = [threading.Thread(target=live, args=(n,), daemon=True) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [*transcript(fake), *sorted(at.items()), (clock.now(),)]


def many(fake: FakeRouter, clock: VirtualClock, number: int, backend: str = "") -> Transcript:
    """What `factory.many` does, in threads, or in tasks of a loop."""
    run = net.run_for(net.config_for(fake, max_instances=number))
    learned = len(fake.requests)

    async def in_loop() -> None:
        io = async_io(run.config.link, clock)
        assert len(await AsyncSmokeInstanceFactory(run, io).many(number)) == number
        await io.aclose()

    if backend:
        anyio.run(in_loop, backend=backend)
    else:
        net.on_clock(run, clock)
        assert len(SmokeInstanceFactory(run).many(number)) == number
        run.close()
    return transcript(fake, learned)


def in_tasks(fake: FakeRouter, clock: VirtualClock, number: int) -> Transcript:
    async def live(client: AsyncSmokeClient, key: str) -> None:
        await client.provision(net.SPEC, key)
        # By its own sleeps: what is refused for a while is asked for again.
        assert not (await client.poll(key)).found
        while not (found := await client.poll(key)).found or found.status != "running":
            await client._io.sleep(3)
        async with client.stream_chat(str(found.instance_id), "hello") as events:
            assert len([event async for event in events]) == SAID

    async def run() -> None:
        clients = [AsyncSmokeClient(fake.url, token=fake.token, clock=clock) for _ in range(number)]
        async with anyio.create_task_group() as group:
            for n, client in enumerate(clients):
                group.start_soon(live, client, f"key-{n}")
        for client in clients:
            await client.aclose()

    anyio.run(run)
    return transcript(fake)


WAYS: dict[str, Callable[[FakeRouter, VirtualClock, int], Transcript]] = {
    "threads": in_threads,
    "many": many,
    "many on trio": lambda *given: many(*given, "trio"),
    "tasks": in_tasks,
}


@pytest.mark.parametrize("way", WAYS)
def test_several_at_once_do_the_same_each_time(way: str) -> None:
    told: list[Transcript] = []
    for _ in range(2):
        clock = VirtualClock()
        with FakeRouter(QUICK, clock=clock) as fake:
            told.append(WAYS[way](fake, clock, 3))
    assert told[0]
    assert told[0] == told[1]


def test_a_stranger_reads_by_time_moved_by_hand() -> None:
    clock = VirtualClock()
    with FakeRouter(QUICK, clock=clock) as fake:
        with SmokeClient(fake.url, token=fake.token, clock=clock) as client:
            client.provision(net.SPEC, "key")
            clock.advance(60)
            instance_id = client.poll("key").instance_id
        headers = {"authorization": f"Bearer {fake.token}"}
        url = f"{fake.url}/internal/v1/smoke/instances/{instance_id}/chat"
        with (
            httpx.Client(headers=headers, trust_env=False, verify=False) as stranger,
            stranger.stream("POST", url, json={"message": "hello"}) as answer,
        ):
            chunks = answer.iter_raw()
            next(chunks)
            clock.advance(3)
            next(chunks)
            clock.advance(60)
            assert b"".join(chunks).endswith(b"[DONE]\n\n")
    assert clock.now() == 123
