"""Instances, chats and their LLM events over real sockets, in blocking code and under both loops.

The rules are one coroutine's, and are proved on scripted answers; here it is run in each way.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import anyio
import pytest
from net_tools import (
    AT_ONCE,
    FIELDS,
    SPEC,
    World,
    all_of,
    config_for,
    next_of,
    result,
    run_for,
    within,
)
from other_form import give_form

import pytest_hydrasmoke as hydra
from pytest_hydrasmoke._clock.io import async_io, blocking_io
from pytest_hydrasmoke._core.settling import USUAL
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._plugin.fixtures import AsyncRunClient, RunClient
from pytest_hydrasmoke.fake import FakeRouter, Scenario

pytestmark = pytest.mark.anyio

UNMET: list[tuple[dict[str, Any], str]] = [
    # What one LLM event of a provider does not meet, and how it is told.
    ({"at_least": 3}, "at least 3 LLM events"),
    ({"at_least": 0, "at_most": 0}, "exactly 0 LLM events"),
    ({"exactly": 2}, "exactly 2 LLM events"),
    ({"providers": {"openai"}}, "at least 1 LLM event, openai among them"),
    ({"only": {"openai"}}, "at least 1 LLM event, from openai and no other"),
]


def changed(**scenario: Any) -> Scenario:
    return dataclasses.replace(AT_ONCE, **scenario)


async def read(stream: Any) -> list[hydra.ChatEvent]:
    async with within(stream) as events:
        return await all_of(events)


async def test_one_instance_from_provision_to_delete(kind: str) -> None:
    extra = {"datacentre": "north", "cost": {"eur": 1}}
    made = World(kind, Scenario(llm_events_lag=3))
    give_form(made.fake, lambda answer: {**answer, **extra})
    async with made as world:
        instance = await world.provision()
        [seen] = world.fake.instances
        assert instance.id == seen.id
        assert instance.idempotency_key == seen.idempotency_key == "net-0"
        assert instance.spec == SPEC
        assert instance.hostname == seen.hostname
        named = "SmokeInstance" if kind == "sync" else "AsyncSmokeInstance"
        assert repr(instance) == f"<{named} {instance.id} (key net-0)>"

        status = await result(instance.status())
        assert isinstance(status, hydra.InstanceStatus)
        assert (status.id, status.status, status.model_extra) == (seen.id, "running", extra)
        waited = await result(instance.wait(lambda it: it.status == "running"))
        assert waited.id == seen.id
        with pytest.raises(hydra.ProvisionTimeoutError, match="within 5 s"):
            await result(instance.wait(lambda _: False, timeout=5))

        turn = await result(instance.chat("Are you ready?"))
        assert isinstance(turn, hydra.ChatTurn if kind == "sync" else hydra.AsyncChatTurn)
        assert (turn.message, turn.text) == ("Are you ready?", "I am ready.")
        assert (turn.complete, turn.finish_reason, turn.events[-1].data) == (True, "stop", "[DONE]")
        assert turn.first_event_after <= turn.duration
        told = f"{len(turn.events)} events in {turn.duration:.2f} s"
        assert repr(turn) == f"<{type(turn).__name__} {told}>"

        events = await result(turn.expect_llm_events(at_least=1, at_most=1))
        assert (events.count, events.providers) == (1, ("anthropic",))
        assert (await result(instance.llm_events())).count == 1
        for expecting in (turn.expect_llm_events, instance.expect_llm_events):
            assert (await result(expecting(exactly=1, only={"anthropic"}))).model_extra == extra
            start = world.clock.now()
            for wanted, said in UNMET:
                with pytest.raises(hydra.LlmEventsError) as caught:
                    await result(expecting(**wanted, timeout=7))
                assert (caught.value.phase, caught.value.expected) == ("llm_events", said)
            # Those that may still be met are waited for, and those that are wrong are not.
            assert world.clock.now() - start == pytest.approx(21)
            before = len(world.fake.requests)
            with pytest.raises(hydra.ConfigError):
                await result(expecting(providers="openai"))
            assert len(world.fake.requests) == before

        await result(instance.delete())
        assert world.fake.instances[0].deleted
        with pytest.raises(hydra.NotFoundError):
            await result(instance.status())
        before = len(world.fake.requests)
        await result(instance.delete())
        assert len(world.fake.requests) == before
    [owned] = world.run.instances
    assert (owned.state, owned.leak) == (State.GONE, None)
    assert {*owned.phases} == {
        *("provision", "row", "ready", "first_event", "turn", "llm_events", "delete")
    }
    assert owned.drift == [
        f"unknown in the answer to {call}: cost, datacentre"
        for call in ("poll", "provision", "status", "llm_events", "delete")
    ]


def test_blocking_code_needs_no_loop() -> None:
    with FakeRouter(AT_ONCE) as fake:
        run = run_for(config_for(fake, usage_settle=0.3))
        with run.provision(SPEC) as instance:
            turn = instance.chat("hello")
            assert turn.text == "I am ready."
            assert turn.expect_llm_events().count == 1
        assert fake.instances[0].deleted
        run.close()


async def test_a_boot_that_fails_is_told_and_what_there_is_goes(kind: str) -> None:
    words = ((0, "queued"), (1, "Failed"))
    scenario = changed(statuses=words, ready_words=(), poll_before_row="404", row_after=1)
    async with World(kind, scenario) as world:
        with pytest.raises(hydra.ProvisionError, match="the instance is 'Failed'") as caught:
            await world.provision()
        assert (caught.value.got, caught.value.phase) == ("queued → Failed", "ready")
        assert world.fake.instances[0].deleted
    assert world.run.instances[0].state is State.GONE


async def test_leaving_the_context_deletes_what_is_not_kept(kind: str) -> None:
    async with World(kind, AT_ONCE, keep="on-failure") as world:
        async with within(await world.provision()):
            pass
        with pytest.raises(ZeroDivisionError):
            async with within(await world.provision()) as broken:
                raise ZeroDivisionError
        assert [it.deleted for it in world.fake.instances] == [True, False]
        assert (await result(broken.chat("what is wrong?"))).complete
        # A run that a sweep has ended provisions and chats no more, and deletes all the same.
        world.run.ledger.stop()
        before = len(world.fake.requests)
        for go_on in (world.provision, lambda: result(broken.chat("hello"))):
            with pytest.raises(hydra.ConfigError, match="run net is over"):
                await go_on()
        with pytest.raises(hydra.ConfigError, match="run net is over"):
            async with within(broken.stream_chat("hello")):
                pytest.fail("the stream began")
        assert len(world.fake.requests) == before
        # Whoever asks for it outright gets it.
        await result(broken.delete())
        assert world.fake.instances[1].deleted


async def test_a_stream_is_read_to_its_end_or_left_in_any_way(kind: str) -> None:
    async with World(kind, AT_ONCE) as world, within(world.client()) as plain:
        instance = await world.provision()
        [owned] = world.run.instances
        blocking = hydra.SmokeInstance(world.run.handle(owned))
        awaiting = hydra.AsyncSmokeInstance(world.run.handle(owned, world.async_io()))
        async with within(instance.stream_chat("hello")) as events:
            first = await next_of(events)
            assert isinstance(first, hydra.ChatEvent)
            assert first.json()["choices"][0]["delta"] == {"role": "assistant", "content": ""}
            # Meanwhile nobody else begins a turn.
            with pytest.raises(hydra.ChatBusyError):
                blocking.chat("me too")
            with pytest.raises(hydra.ChatBusyError):
                await awaiting.chat("me too")
            with pytest.raises(hydra.ChatBusyError):
                await read(plain.stream_chat(instance.id.upper(), "me too"))
            assert (await all_of(events))[-1].data == "[DONE]"
            assert await next_of(events) is None
        assert (await result(instance.expect_llm_events())).count == 1
        assert blocking.chat("now").complete
        async with within(instance.stream_chat("hello")):
            pass
        with pytest.raises(ZeroDivisionError):
            async with within(instance.stream_chat("hello")):
                raise ZeroDivisionError
        world.fake.break_stream("flood", after_events=2)
        async with within(instance.stream_chat("hello")) as events:
            for _ in range(50):
                await next_of(events)
        assert (await awaiting.chat("now")).text == "I am ready."
        assert world.routes().count("chat") == 6
        for broken, words in (
            ("error", "the agent reported an error: the agent has failed"),
            ("cut", "the stream was cut"),
            ("garbage", "the reply was cut: its stream ended in the middle of an event"),
        ):
            world.fake.break_stream(broken, after_events=3)
            with pytest.raises(hydra.ChatError, match=words) as caught:
                await result(instance.chat("hello"))
            assert len(caught.value.events) == 3 + (broken == "error")
            assert caught.value.phase == "turn"
        assert (await result(instance.chat("hello"))).complete


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_a_wait_can_be_broken_off(kind: str) -> None:
    async with World(kind, changed(llm_events_lag=1.5)) as world:
        instance = await world.provision()
        await result(instance.chat("hello"))
        start = world.clock.now()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(instance.chat, "never sent")
                await world.async_io().sleep(1)
                scope.cancel()
        assert scope.cancelled_caught
        assert world.routes().count("chat") == 1
        await result(instance.chat("hello"))
        assert world.clock.now() - start == pytest.approx(USUAL)


async def test_the_six_calls_by_themselves(kind: str) -> None:
    asked: list[str] = []

    def text(event: hydra.ChatEvent) -> str | None:
        asked.append(event.data)
        return None

    scenario = changed(row_after=3, llm_events_lag=0, runtime="text", terminal=False)
    async with World(kind, scenario) as world:
        # A client can say what its own frames mean.
        client = world.client(chat_text=text, chat_end=lambda event: event.data == ".")
        async with within(client):
            accepted = await result(client.provision(hydra.InstanceSpec(**FIELDS), "mine"))
            assert isinstance(accepted, hydra.ProvisionAccepted)
            nobody = hydra.PollResult(found=False, instance_id=None, status=None)
            assert await result(client.poll("mine")) == nobody
            world.clock.advance(3)
            found = await result(client.poll("mine"))
            assert found.found
            assert found.instance_id == accepted.instance_id
            assert found.instance_id is not None
            assert (await result(client.status(found.instance_id))).status == "running"
            told = [it.data for it in await read(client.stream_chat(found.instance_id, "hello"))]
            assert asked == told
            assert told[-1] == "."
            counted = await result(client.llm_events(found.instance_id))
            assert (counted.count, counted.window_seconds) == (1, 900)
            gone = await result(client.delete(found.instance_id))
            assert isinstance(gone, hydra.DeleteResult)
            assert (gone.instance_id, gone.status) == (found.instance_id, "deleted")
            with pytest.raises(hydra.NotFoundError):
                await result(client.status(found.instance_id))


def client_of_the_run(world: World, **settings: Any) -> Any:
    """Return the plain client that tests of a run are given."""
    run = world.run
    run.config = run.config.model_copy(update=settings)
    if world.kind == "sync":
        return RunClient(blocking_io(run.config.link, world.clock), run)
    return AsyncRunClient(async_io(run.config.link, world.clock), run)


async def test_a_turn_of_the_runs_plain_client_counts_and_what_it_was_refused_was_none(
    kind: str,
) -> None:
    async with World(kind, changed(llm_events_lag=1.5, runtime="named")) as world:
        instance = await world.provision()
        async with within(client_of_the_run(world)) as client:
            with pytest.raises(hydra.RejectedError):
                async with within(client.stream_chat(instance.id, "x" * 4001)):
                    pytest.fail("the router took it")
            start = world.clock.now()
            await read(client.stream_chat(f"{{{instance.id.upper()}}}", "hello"))
            world.clock.advance(2)
            # There is an event already, and it is no other run's.
            turn = await result(instance.chat("hello"))
            assert world.clock.now() - start == pytest.approx(USUAL)
            world.fake.break_stream("end", after_events=2, times=5)
            # It knows that a turn of this instance has told its end, and goes by its setting.
            for end, message in (("auto", "an earlier turn"), ("required", "the settings require")):
                async with within(client_of_the_run(world, chat_end=end)) as other:
                    with pytest.raises(hydra.ChatError) as cut:
                        await read(other.stream_chat(instance.id, "hello"))
                assert message in (cut.value.expected or "")
            for other in (client_of_the_run(world, chat_end="optional"), world.client()):
                async with within(other):
                    assert len(await read(other.stream_chat(instance.id, "hello"))) == 2
            with pytest.raises(hydra.LlmEventsError) as caught:
                await result(turn.expect_llm_events())
            assert caught.value.got == "another client has chatted since the turn"
            accepted = await result(client.provision(SPEC, "a-stranger"))
            assert await read(client.stream_chat(accepted.instance_id, "hello"))
