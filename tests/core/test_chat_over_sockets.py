"""Chats and their LLM events, over real sockets, in blocking code and under both loops."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from net_tools import (
    AT_ONCE,
    World,
    all_of,
    next_of,
    result,
    with_kinds,
    within,
)

from pytest_hydrasmoke import (
    AsyncSmokeInstance,
    ChatBusyError,
    ChatError,
    ChatEvent,
    ChatTimeoutError,
    ConfigError,
    LlmEventsError,
    SmokeInstance,
)
from pytest_hydrasmoke.fake import Scenario

pytestmark = pytest.mark.anyio


REPLY = "Zwölf Boxkämpfer, 12 — “ready”.\nAnd a second line. "


RUNTIMES = ("openai", "anthropic", "objects", "named", "text")


def changed(**scenario: Any) -> Scenario:
    return dataclasses.replace(AT_ONCE, **scenario)


@pytest.mark.parametrize(("kind", "runtime"), with_kinds(RUNTIMES))
async def test_every_runtime_is_understood(kind: str, runtime: Any) -> None:
    scenario = changed(runtime=runtime, line_end="crlf", keep_alive=True, reply=REPLY)
    async with World(kind, scenario) as world:
        turn = await result((await world.provision()).chat("hello"))
    assert turn.text == REPLY
    assert turn.complete
    assert list(world.session.records[0].notes) == []


@pytest.mark.parametrize(("kind", "code"), with_kinds([409, 425, 503]))
async def test_a_chat_waits_until_the_agent_takes_it(kind: str, code: Any) -> None:
    # Ready to the eye of the client, but not yet to the agent.
    scenario = changed(
        statuses=((0, "active"), (5, "running")),
        ready_words=("running",),
        not_ready_status=code,
        llm_events_lag=0,
    )
    async with World(kind, scenario) as world:
        turn = await result((await world.provision()).chat("hello"))
        assert turn.text == "I am ready."
        assert world.times("chat") > 1
        assert len(world.fake.llm_events) == 1


async def test_an_agent_that_is_never_ready_is_a_chat_timeout(kind: str) -> None:
    scenario = changed(statuses=((0, "active"),), ready_words=())
    async with World(kind, scenario, chat_timeout=20) as world:
        instance = await world.provision()
        with pytest.raises(ChatTimeoutError, match="not accepted within 20 s") as caught:
            await result(instance.chat("hello"))
        assert caught.value.phase == "first_event"
        with pytest.raises(ChatTimeoutError, match="not accepted within 1 s"):
            await result(instance.chat("hello", timeout=1))


@pytest.mark.parametrize(("kind", "runtime"), with_kinds(RUNTIMES))
async def test_an_agents_error_is_a_chat_error_with_what_came_before(
    kind: str, runtime: Any
) -> None:
    async with World(kind, changed(runtime=runtime)) as world:
        instance = await world.provision()
        world.fake.break_stream("error", after_events=3)
        with pytest.raises(
            ChatError, match="the agent reported an error: the agent has failed"
        ) as e:
            await result(instance.chat("hello"))
        assert len(e.value.events) == 4
        assert e.value.phase == "turn"
        assert (await result(instance.chat("hello"))).text == "I am ready."
        # Of garbage, bytes that are no events are skipped, as the standard says, and then it ends.
        for broken in ("cut", "garbage") if runtime == "openai" else ():
            world.fake.break_stream(broken, after_events=2)
            with pytest.raises(ChatError) as e:
                await result(instance.chat("hello"))
            assert len(e.value.events) >= 2
            assert (await result(instance.chat("hello"))).complete


async def test_a_stream_is_read_to_its_end_or_left_in_any_way(kind: str) -> None:
    async with World(kind, AT_ONCE) as world:
        instance = await world.provision()
        async with within(instance.stream_chat("hello")) as events:
            first = await next_of(events)
            assert isinstance(first, ChatEvent)
            assert first.json()["choices"][0]["delta"] == {"role": "assistant", "content": ""}
            rest = await all_of(events)
            assert rest[-1].data == "[DONE]"
            assert await next_of(events) is None
        assert (await result(instance.expect_llm_events())).count == 1
        async with within(instance.stream_chat("hello")):
            pass

        async def leave() -> None:
            async with within(instance.stream_chat("hello")) as events:
                await next_of(events)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await leave()
        world.fake.break_stream("flood", after_events=2)
        async with within(instance.stream_chat("hello")) as events:
            for _ in range(50):
                await next_of(events)
        assert (await result(instance.chat("hello"))).text == "I am ready."
        assert world.times("chat") == 5


async def test_two_turns_at_once_on_one_instance_are_refused_whoever_asks(kind: str) -> None:
    async with World(kind, AT_ONCE) as world:
        first = await world.provision()
        [record] = world.session.records
        blocking = SmokeInstance(world.session.handle(record))
        awaiting = AsyncSmokeInstance(world.session.handle(record, world.async_io()))
        plain = world.client()
        async with within(first.stream_chat("hello")) as events:
            await next_of(events)
            with pytest.raises(ChatBusyError):
                blocking.chat("me too")
            with pytest.raises(ChatBusyError):
                await awaiting.chat("me too")
            with pytest.raises(ChatBusyError):
                async with within(plain.stream_chat(first.id.upper(), "me too")):
                    pytest.fail("the stream began")
        assert world.times("chat") == 1
        assert blocking.chat("now").complete
        assert (await awaiting.chat("now")).complete
        await result(plain.close() if kind == "sync" else plain.aclose())  # type: ignore[union-attr]


async def test_llm_events_are_waited_for_and_compared(kind: str) -> None:
    scenario = changed(llm_events_lag=10, llm_events_per_turn=2, providers=("openai", "anthropic"))
    async with World(kind, scenario) as world:
        instance = await world.provision()
        turn = await result(instance.chat("hello"))
        events = await result(turn.expect_llm_events(at_least=2, at_most=2, providers=["openai"]))
        assert (events.count, world.clock.now() > 10) == (2, True)
        for wanted in ({"at_most": 1}, {"exactly": 1}):
            with pytest.raises(LlmEventsError) as caught:
                await result(turn.expect_llm_events(**wanted))
            assert caught.value.expected == "exactly 1 LLM event"
            assert (caught.value.got or "").startswith("2 (0 before the turn, 2 now)")
            assert "a longer wait does not help" in (caught.value.next_step or "")
        with pytest.raises(LlmEventsError):
            await result(turn.expect_llm_events(only={"anthropic"}))
        await result(turn.expect_llm_events(exactly=2, only={"anthropic", "openai"}))
        await result(instance.expect_llm_events(exactly=2, only={"anthropic", "openai"}))
        start = world.clock.now()
        for expecting in (turn.expect_llm_events, instance.expect_llm_events):
            with pytest.raises(LlmEventsError) as caught:
                await result(expecting(at_least=3, timeout=7))
            assert isinstance(caught.value, AssertionError)
            assert caught.value.phase == "llm_events"
        assert world.clock.now() - start == pytest.approx(14)
        before = len(world.fake.requests)
        for expecting in (turn.expect_llm_events, instance.expect_llm_events):
            for wrong in ({"at_least": 2, "at_most": 1}, {"at_least": -1}, {"providers": "openai"}):
                with pytest.raises(ConfigError):
                    await result(expecting(**wrong))
        assert len(world.fake.requests) == before
