"""Several instances at once: all are ready, or none is left; and nothing hangs."""

from __future__ import annotations

import threading
import time
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
from net_tools import FIELDS, KINDS, SPEC, session_to
from run_tools import FAILS, NEVER_READY, Runs, interrupt_when, no_thread_left

from pytest_hydrasmoke import (
    AsyncSmokeInstanceFactory,
    ConfigError,
    HydraSmokeError,
    InstanceSpec,
    ProvisionError,
    RouterError,
    SmokeInstance,
    SmokeInstanceFactory,
)
from pytest_hydrasmoke._api.calls import CALL_TIMEOUT
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.factory import at_least_one, merged
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke.fake import Scenario

pytestmark = pytest.mark.anyio
ANOTHER = InstanceSpec(**{**FIELDS, "tier_id": "another"})


@pytest.fixture
def a_run(a_run: Runs) -> Runs:
    """A provision that was broken off may have no row: its key is asked for that long."""
    return partial(a_run, delete_timeout=2)


async def many(kind: str, session: SmokeSession, number: int, **spec: str) -> list[Any]:
    """Ask the factory of a kind."""
    if kind == "sync":
        return list(SmokeInstanceFactory(session).many(number, **spec))
    io = AsyncIO(session.config.link)
    try:
        return list(await AsyncSmokeInstanceFactory(session, io).many(number, **spec))
    finally:
        await io.aclose()


# All of them


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_many_are_provisioned_at_once_and_each_is_shown_to_the_hook(
    kind: str, a_run: Runs
) -> None:
    fake, session = a_run(Scenario(row_after=0.1))
    seen: list[Handle] = []
    vars(session.stage)["is_ready"] = seen.append
    instances = await many(kind, session, 4)
    routes = [request.route for request in fake.requests]
    # The last was asked for before the first had a row.
    assert routes[: routes.index("status")].count("provision") == 4
    assert {instance.id for instance in instances} == {seen.id for seen in fake.instances}
    assert [instance.idempotency_key for instance in instances] == [f"net-{i}" for i in range(4)]
    assert [instance.id for instance in seen] == [instance.id for instance in instances]
    session.close()
    assert all(seen.deleted for seen in fake.instances)


async def test_a_factory_makes_one_of_the_runs_spec_with_changes(kind: str, a_run: Runs) -> None:
    fake, session = a_run()
    if kind == "sync":
        factory = SmokeInstanceFactory(session)
        with factory(tier_id="another") as instance:
            assert (type(instance), instance.spec) == (SmokeInstance, ANOTHER)
    else:
        io = AsyncIO(session.config.link)
        async with await AsyncSmokeInstanceFactory(session, io)(tier_id="another") as other:
            assert other.spec == ANOTHER
        await io.aclose()
    assert [(seen.tier_id, seen.deleted) for seen in fake.instances] == [("another", True)]


async def test_what_can_not_be_had_is_refused_before_any_request(kind: str, a_run: Runs) -> None:
    fake, session = a_run(max_instances=2)
    for number in (0, -1):
        with pytest.raises(ConfigError, match="asks for nothing"):
            await many(kind, session, number)
    with pytest.raises(ConfigError, match="this is not an instance spec: tier: ") as caught:
        await many(kind, session, 1, tier="x")
    assert "manifest_id, region_id, tier_id, agent_name" in str(caught.value)
    with pytest.raises(ConfigError, match="no room for 3 more"):
        await many(kind, session, 3)
    assert (fake.requests, session.records) == ((), [])
    await many(kind, session, 2)
    before = len(fake.requests)
    with pytest.raises(ConfigError, match="no room for 1 more: max_instances allows 2 in a run"):
        await many(kind, session, 1)
    assert len(fake.requests) == before


async def test_slots_of_what_was_not_asked_or_refused_are_free_again(
    kind: str, a_run: Runs
) -> None:
    fake, session = a_run(max_instances=2)
    # Before a key is provisioned under, it is polled.
    fake.fail("poll", status=403, times=2)
    with pytest.raises(HydraSmokeError):
        await many(kind, session, 2)
    fake._faults.reset()  # The first failure may have stopped the other.
    assert fake.instances == ()
    fake.fail("provision", status=422)
    with pytest.raises(RouterError):
        await many(kind, session, 1)
    assert session.records[-1].state is State.REFUSED
    # A refused key is never used again.
    keys = [instance.idempotency_key for instance in await many(kind, session, 2)]
    assert keys == ["net-1", "net-2"]


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


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_the_first_failure_stops_the_others_and_all_are_deleted(
    kind: str, a_run: Runs
) -> None:
    # They never get ready by themselves: it is the failure that ends them.
    fake, session = a_run(NEVER_READY, ready_timeout=30)
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

    vars(session.stage)["is_ready"] = fail
    with pytest.raises(ZeroDivisionError):
        await many(kind, session, 2)
    session.close()
    assert all(seen.deleted for seen in fake.instances)


@pytest.mark.parametrize("number", [1, 2])
async def test_what_failed_to_get_ready_is_told_and_deleted_or_kept_for_a_look(
    kind: str, a_run: Runs, number: int
) -> None:
    fake, session = a_run(FAILS, keep="on-failure")
    # The others are stopped by the first, and may have no row yet.
    with pytest.raises(ProvisionError, match="the instance is 'failed'"):
        await many(kind, session, number)
    session.close()
    kept = {record.id for record in session.records if record.state is State.KEPT}
    assert kept
    assert {seen.id for seen in fake.instances if not seen.deleted} == kept
    fake, session = a_run(FAILS)
    with pytest.raises(ProvisionError, match="the instance is 'failed'"):
        await many(kind, session, number)
    assert all(seen.deleted for seen in fake.instances)


# Cancelled, interrupted


@pytest.mark.parametrize("kind", KINDS[1:], indirect=True)
async def test_a_cancelled_many_leaves_its_instances_to_the_clean_up(
    kind: str, a_run: Runs
) -> None:
    fake, session = a_run(NEVER_READY)
    async with anyio.create_task_group() as group:
        group.start_soon(many, kind, session, 3)
        with anyio.fail_after(30):
            while len(fake.instances) < 3:  # noqa: ASYNC110 - the router's thread counts
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert len(fake.instances) == 3
    await anyio.to_thread.run_sync(session.close)
    assert all(seen.deleted for seen in fake.instances)


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
    fake, session = a_run(NEVER_READY)
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
