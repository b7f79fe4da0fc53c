"""Whose LLM events a turn's are: over real sockets, on a virtual clock, by every kind of client."""

from __future__ import annotations

import dataclasses
from typing import Any

import anyio
import pytest
from net_tools import AT_ONCE, SPEC, World, all_of, result, with_kinds, within

from pytest_hydrasmoke import ConfigError, LlmEventsError, RejectedError
from pytest_hydrasmoke._clock.io import async_io, blocking_io
from pytest_hydrasmoke._core.settle import USUAL
from pytest_hydrasmoke._plugin.clients import AsyncRunClient, RunClient
from pytest_hydrasmoke.fake import Scenario

pytestmark = pytest.mark.anyio

LAGS = dataclasses.replace(AT_ONCE, llm_events_lag=1.5)


def changed(**scenario: Any) -> Scenario:
    return dataclasses.replace(AT_ONCE, **scenario)


async def held_up(world: World, instance: Any) -> tuple[Any, float]:
    """Take a turn; gives it, and the seconds until it was over, which take none themselves."""
    start = world.clock.now()
    turn = await result(instance.chat("hello"))
    return turn, world.clock.now() - start


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
async def test_a_turn_without_an_event_does_not_pass_on_the_one_before_it(kind: str) -> None:
    async with World(kind, LAGS, chat_end="optional") as world:
        instance = await world.provision()
        await result(instance.chat("hello"))
        # The stream ends before the agent is done: no row comes of it.
        world.fake.break_stream("end")
        turn, waited = await held_up(world, instance)
        assert waited == pytest.approx(USUAL)
        with pytest.raises(LlmEventsError) as caught:
            await result(turn.expect_llm_events(timeout=4))
        assert (caught.value.got or "").startswith("0 (1 before the turn, 1 now)")
        turn, _ = await held_up(world, instance)
        await result(turn.expect_llm_events(exactly=1, only={"anthropic"}))


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_a_wait_can_be_broken_off(kind: str) -> None:
    async with World(kind, LAGS) as world:
        instance = await world.provision()
        await result(instance.chat("hello"))
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(instance.chat, "never sent")
                await world.async_io().sleep(1)
                scope.cancel()
        assert scope.cancelled_caught
        assert world.times("chat") == 1
        assert (await held_up(world, instance))[1] == pytest.approx(USUAL - 1)


def client_of(world: World) -> Any:
    """Return the plain client that tests of a run are given."""
    run = world.session
    if world.kind == "sync":
        return RunClient(blocking_io(run.config.link, world.clock), run)
    return AsyncRunClient(async_io(run.config.link, world.clock), run)


@pytest.mark.parametrize(("kind", "spelled"), with_kinds(["{}", "urn:uuid:{}", "{{{}}}"]))
async def test_a_turn_of_the_runs_plain_client_counts(kind: str, spelled: str) -> None:
    async with World(kind, LAGS) as world:
        instance = await world.provision()
        async with within(client_of(world)) as client:
            async with within(
                client.stream_chat(spelled.format(instance.id.upper()), "hello")
            ) as events:
                await all_of(events)
            world.clock.advance(2)
            # There is an event already, and it is no other run's.
            turn, waited = await held_up(world, instance)
            assert waited == pytest.approx(USUAL - 2)
            async with within(client.stream_chat(instance.id, "hello")) as events:
                await all_of(events)
            with pytest.raises(LlmEventsError) as caught:
                await result(turn.expect_llm_events())
            assert caught.value.got == "another client has chatted since the turn"


async def test_a_plain_client_chats_with_any_instance_and_what_it_was_refused_was_no_turn(
    kind: str,
) -> None:
    async with World(kind, LAGS) as world, within(client_of(world)) as client:
        instance = await world.provision()
        with pytest.raises(RejectedError):
            async with within(client.stream_chat(instance.id, "x" * 4001)):
                pytest.fail("the router took it")
        turn, waited = await held_up(world, instance)
        assert waited == 0
        await result(turn.expect_llm_events(exactly=1))
        accepted = await result(client.provision(SPEC, "a-stranger"))
        async with within(client.stream_chat(accepted.instance_id, "hello")) as events:
            assert await all_of(events)


async def test_events_before_the_first_turn_are_another_runs(kind: str) -> None:
    async with World(kind, changed(llm_events_lag=0)) as world:
        instance = await world.provision()
        stranger = world.client()
        async with within(stranger), within(stranger.stream_chat(instance.id, "hello")) as events:
            await all_of(events)
        with pytest.raises(ConfigError, match="before this run's first chat"):
            await result(instance.chat("hello"))
        with pytest.raises(ConfigError, match="before this run's first chat"):
            async with within(instance.stream_chat("hello")):
                pytest.fail("the turn began")
        assert world.times("chat") == 1
