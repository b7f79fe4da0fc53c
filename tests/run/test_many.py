"""Several instances at once: all are ready, or none is left; with `with`, all go at its end."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
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
from net_tools import FIELDS, KINDS, SPEC, result, run_at, within
from run_tools import FAILS, NEVER_READY, Runs, interrupt_when, left, no_thread_left

from pytest_hydrasmoke import (
    AsyncSmokeInstance,
    AsyncSmokeInstanceFactory,
    ConfigError,
    HydraSmokeError,
    InstanceSpec,
    LeakError,
    ProvisionError,
    RouterError,
    SmokeInstance,
    SmokeInstanceFactory,
)
from pytest_hydrasmoke._api.calls import CALL_TIMEOUT
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._plugin.running_test import failures_of
from pytest_hydrasmoke._run.factory import merged
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke.fake import Scenario

pytestmark = pytest.mark.anyio


@pytest.fixture
def a_run(a_run: Runs) -> Runs:
    """A provision that was broken off may have no row: its key is asked for that long."""
    return partial(a_run, delete_timeout=2)


@asynccontextmanager
async def factory(kind: str, run: Run) -> AsyncGenerator[Any]:
    """Yield the factory of a kind."""
    if kind == "sync":
        yield SmokeInstanceFactory(run)
        return
    io = AsyncIO(run.config.link)
    try:
        yield AsyncSmokeInstanceFactory(run, io)
    finally:
        await io.aclose()


async def many(kind: str, run: Run, number: int, **spec: str) -> list[Any]:
    """Ask the factory of a kind."""
    async with factory(kind, run) as it:
        return list(await result(it.many(number, **spec)))


@asynccontextmanager
async def using(kind: str, run: Run, number: int) -> AsyncGenerator[list[Any]]:
    """Enter and leave what the factory of a kind gives."""
    async with factory(kind, run) as it, within(await result(it.many(number))) as instances:
        yield [*instances]


# All of them


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_many_are_provisioned_at_once_and_each_is_shown_to_the_hook(
    kind: str, a_run: Runs
) -> None:
    fake, run = a_run(Scenario(row_after=0.5))
    seen: list[Handle] = []
    vars(run.stage)["is_ready"] = seen.append
    instances = await many(kind, run, 4)
    routes = [request.route for request in fake.requests]
    # The last was asked for before the first had a row.
    assert routes[: routes.index("status")].count("provision") == 4
    assert {instance.id for instance in instances} == {seen.id for seen in fake.instances}
    assert [instance.idempotency_key for instance in instances] == [f"net-{i}" for i in range(4)]
    assert [instance.id for instance in seen] == [instance.id for instance in instances]
    run.close()
    assert left(fake) == []


async def test_a_factory_makes_one_of_the_runs_spec_with_changes(kind: str, a_run: Runs) -> None:
    fake, run = a_run()
    async with (
        factory(kind, run) as it,
        within(await result(it(tier_id="another"))) as instance,
    ):
        assert type(instance) is (SmokeInstance if kind == "sync" else AsyncSmokeInstance)
        assert instance.spec == InstanceSpec(**{**FIELDS, "tier_id": "another"})
    assert [(seen.tier_id, seen.deleted) for seen in fake.instances] == [("another", True)]


async def test_what_can_not_be_had_is_refused_before_any_request(kind: str, a_run: Runs) -> None:
    fake, run = a_run(max_instances=2)
    for number in (0, -1):
        with pytest.raises(ConfigError, match="asks for nothing"):
            await many(kind, run, number)
    with pytest.raises(ConfigError, match="this is not an instance spec: tier: ") as caught:
        await many(kind, run, 1, tier="x")
    assert "manifest_id, region_id, tier_id, agent_name" in str(caught.value)
    with pytest.raises(ConfigError, match="no room for 3 more: max_instances allows 2 in a run"):
        await many(kind, run, 3)
    assert (fake.requests, run.instances) == ((), [])


def test_specs_are_merged_field_by_field() -> None:
    north = InstanceSpec(**{**FIELDS, "region_id": "north"})
    assert merged(SPEC, {"region_id": "north"}) == north
    assert merged(None, FIELDS) == SPEC
    assert merged(SPEC, north) is north
    for wrong in (7, "tier-2", ["a"]):
        with pytest.raises(ConfigError, match="is not a mapping"):
            merged(SPEC, wrong)
    with pytest.raises(ConfigError, match="manifest_id: Field required"):
        merged(None, {"tier_id": "x"})


# One of them fails


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_the_first_failure_stops_the_others_and_all_are_deleted(
    kind: str, a_run: Runs
) -> None:
    # They never get ready by themselves: it is the failure that ends them.
    fake, run = a_run(NEVER_READY, ready_timeout=30)
    fake.fail("status", status=401, after=3)
    with pytest.raises(RouterError) as caught:
        await many(kind, run, 3)
    assert caught.value.status_code == 401
    assert (len(fake.instances), left(fake)) == (3, [])
    assert {(instance.state, instance.leak) for instance in run.instances} == {(State.GONE, None)}


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
        run_at(server.url, delete_timeout=0.1) as run,
    ):
        until = time.monotonic() + CALL_TIMEOUT
        with pytest.raises(HydraSmokeError):
            await many(kind, run, 2)
        assert time.monotonic() < until


@pytest.mark.parametrize("number", [1, 2])
async def test_what_failed_to_get_ready_is_told_and_deleted_or_kept_for_a_look(
    kind: str, a_run: Runs, number: int
) -> None:
    # The others are stopped by the first, and may have no row yet.
    for keep in ("on-failure", "never"):
        fake, run = a_run(FAILS, keep=keep)
        with pytest.raises(ProvisionError, match="the instance is 'failed'"):
            await many(kind, run, number)
        if keep == "on-failure":
            run.close()
        kept = {str(instance.id) for instance in run.instances if instance.state is State.KEPT}
        assert bool(kept) is (keep == "on-failure")
        assert {*left(fake)} == kept


# Cancelled, interrupted


@pytest.mark.parametrize("kind", KINDS[1:], indirect=True)
async def test_a_cancelled_many_leaves_its_instances_to_the_clean_up(
    kind: str, a_run: Runs
) -> None:
    fake, run = a_run(NEVER_READY)
    async with anyio.create_task_group() as group:
        group.start_soon(many, kind, run, 3)
        with anyio.fail_after(30):
            while len(fake.instances) < 3:  # noqa: ASYNC110 - the router's thread counts
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert len(left(fake)) == 3
    await anyio.to_thread.run_sync(run.close)
    assert left(fake) == []


@pytest.mark.usefixtures("brief_last_words")
def test_an_interrupt_comes_out_of_requests_that_hang_and_no_thread_is_left() -> None:
    router = provisioning(stall_before_head)
    with FaultyServer(router) as server, run_at(server.url) as run:
        before = set(threading.enumerate())
        thread = interrupt_when(lambda: server.count("/provision") == 3)
        until = time.monotonic() + CALL_TIMEOUT
        with pytest.raises(KeyboardInterrupt):
            SmokeInstanceFactory(run).many(3)
        assert time.monotonic() < until
        thread.join()
        assert no_thread_left(before | {*server._threads})
    assert {instance.state for instance in run.instances} == {State.REQUESTED}


# The end of a `with`


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_all_are_deleted_side_by_side_at_the_end_of_the_with(kind: str, a_run: Runs) -> None:
    fake, run = a_run(delete_timeout=60)
    # No deletion is proved before the last one was asked for.
    fake.fail("delete", status=503, times=3)
    async with using(kind, run, 3) as instances:
        assert sorted(it.id for it in instances) == sorted(left(fake))
        await result(instances[0].delete())
        assert len(left(fake)) == 2
    assert left(fake) == []
    assert {instance.state for instance in run.instances} == {State.GONE}


@pytest.mark.parametrize(("keep", "kept"), [("on-failure", 2), ("always", 2), ("never", 0)])
async def test_what_the_settings_keep_stays_as_one_instance_does(
    kind: str, a_run: Runs, keep: str, kept: int
) -> None:
    fake, run = a_run(keep=keep)
    with pytest.raises(ZeroDivisionError):
        async with using(kind, run, 2):
            raise ZeroDivisionError
    assert len(left(fake)) == kept
    async with using(kind, run, 2):
        pass
    assert len(left(fake)) == kept + 2 * (keep == "always")


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_every_leak_is_named_and_is_the_failure_of_the_test(kind: str, a_run: Runs) -> None:
    fake, run = a_run(delete_timeout=0.6)
    fake.fail("delete", status=500, times=100)
    with pytest.raises(LeakError, match="may still run") as caught:
        async with using(kind, run, 3):
            pass
    error = caught.value
    said = [str(error), *error.__notes__]
    assert len(said) == 3
    # How long ago the delete was is each one's own.
    told = f"as well: {error.message.partition(';')[0]}"
    assert [note.partition(";")[0] for note in said[1:]] == [told] * 2
    for instance in left(fake):
        assert sum(f"{instance} (key " in words for words in said) == 1
    known = {number for it in run.instances for number in it.failures}
    assert len(known) == 3
    assert {("", number) for number in failures_of(error)} == known
    # The end of the run tries once more.
    fake._world.faults.reset()
    run.close()
    assert left(fake) == []
