"""What ends a turn, and what becomes of a stream that just ends: by every kind of client."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from net_tools import AT_ONCE, World, all_of, next_of, result, with_kinds, within

from pytest_hydrasmoke import ChatError, ChatEvent
from pytest_hydrasmoke._clock.io import async_io, blocking_io
from pytest_hydrasmoke._plugin.clients import AsyncRunClient, RunClient
from pytest_hydrasmoke.fake import Scenario

pytestmark = pytest.mark.anyio


TELL_ALWAYS = ("openai", "anthropic")


MAY_NOT_TELL = ("objects", "named", "text")


NOTE = "a chat's stream ended without a terminal event"


BEFORE_DONE = 6
"""Events of the fake's reply in chunks up to its finish reason."""


def changed(**scenario: Any) -> Scenario:
    return dataclasses.replace(AT_ONCE, **scenario)


def endless(runtime: str) -> Scenario:
    return changed(runtime=runtime, terminal=False)


async def cut(instance: Any) -> ChatError:
    """Return the error of a chat whose reply is cut."""
    with pytest.raises(ChatError) as caught:
        await result(instance.chat("hello"))
    assert caught.value.message == "the reply was cut: its stream ended without a terminal event"
    assert caught.value.phase == "turn"
    return caught.value


@pytest.mark.parametrize(("kind", "runtime"), with_kinds(TELL_ALWAYS + MAY_NOT_TELL))
async def test_a_reply_without_an_end_was_cut_where_its_runtime_always_tells_one(
    kind: str, runtime: str
) -> None:
    async with World(kind, endless(runtime)) as world:
        instance = await world.provision()
        if runtime in TELL_ALWAYS:
            error = await cut(instance)
            assert error.expected == (
                "an event that ends the turn, as this runtime always sends one (chat_end = auto)"
            )
            assert len(error.events) >= 5
        else:
            turn = await result(instance.chat("hello"))
            assert (turn.text, turn.complete, turn.finish_reason) == ("I am ready.", False, None)
            assert repr(turn).endswith("no terminal event>")
    assert list(world.session.records[0].notes) == ([] if runtime in TELL_ALWAYS else [NOTE])


def client_of_the_run(world: World, end: Any) -> Any:
    run = world.session
    run.config = run.config.model_copy(update={"chat_end": end})
    if world.kind == "sync":
        return RunClient(blocking_io(run.config.link, world.clock), run)
    return AsyncRunClient(async_io(run.config.link, world.clock), run)


@pytest.mark.parametrize(("kind", "runtime"), with_kinds(MAY_NOT_TELL))
async def test_who_told_the_end_once_is_expected_to_tell_it_again(kind: str, runtime: str) -> None:
    async with World(kind, changed(runtime=runtime)) as world:
        first, second = await world.provision(), await world.provision()
        async with within(second.stream_chat("hello")):
            pass
        assert (await result(first.chat("hello"))).complete
        world.fake.break_stream("end", after_events=2, times=6)
        error = await cut(first)
        assert error.expected == (
            "an event that ends the turn, as an earlier turn of this instance had one "
            "(chat_end = auto)"
        )
        # Of another instance, whose turn was left, nothing is known: it may have another runtime.
        assert not (await result(second.chat("hello"))).complete
        # A client of the run knows, and goes by its setting; a plain one knows of no earlier turn.
        for end, message in (("auto", "an earlier turn"), ("required", "the settings require")):
            async with within(client_of_the_run(world, end)) as client:
                with pytest.raises(ChatError) as caught:
                    async with within(client.stream_chat(first.id, "hello")) as events:
                        await all_of(events)
            assert message in (caught.value.expected or "")
        for client in (client_of_the_run(world, "optional"), world.client()):
            async with within(client), within(client.stream_chat(first.id, "hello")) as events:
                assert len(await all_of(events)) == 2


@pytest.mark.parametrize(("kind", "runtime"), with_kinds((*MAY_NOT_TELL, "openai")))
async def test_a_setting_says_whether_a_terminal_event_is_needed(kind: str, runtime: str) -> None:
    async with World(kind, changed(runtime=runtime), chat_end="optional") as world:
        instance = await world.provision()
        assert (await result(instance.chat("hello"))).complete
        world.fake.break_stream("end", after_events=4)
        assert not (await result(instance.chat("hello"))).complete
    assert list(world.session.records[0].notes) == [NOTE]
    async with World(kind, endless(runtime), chat_end="required") as world:
        error = await cut(await world.provision())
    assert error.expected == (
        "an event that ends the turn, as the settings require (chat_end = required)"
    )


@pytest.mark.parametrize(("kind", "chat_end"), with_kinds(["auto", "required", "optional"]))
async def test_a_finish_reason_and_then_the_end_of_the_stream_is_a_whole_reply(
    kind: str, chat_end: str
) -> None:
    async with World(kind, AT_ONCE, chat_end=chat_end) as world:
        instance = await world.provision()
        world.fake.break_stream("end", after_events=BEFORE_DONE)
        turn = await result(instance.chat("hello"))
        assert (turn.text, turn.complete, turn.finish_reason) == ("I am ready.", True, "stop")
        assert turn.events[-1].data != "[DONE]"
        world.fake.break_stream("end", after_events=BEFORE_DONE - 1)
        if chat_end != "optional":
            await cut(instance)


REASONS = [("openai", "stop"), ("anthropic", "end_turn"), ("named", None), ("text", None)]


@pytest.mark.parametrize(("kind", "told"), with_kinds(REASONS))
async def test_a_turn_tells_why_the_model_stopped(kind: str, told: tuple[str, str | None]) -> None:
    async with World(kind, changed(runtime=told[0])) as world:
        turn = await result((await world.provision()).chat("hello"))
    assert (turn.complete, turn.finish_reason) == (True, told[1])
    [record] = world.session.records
    assert record.turns[0].turn.finish_reason == told[1]
    assert list(record.notes) == []


@pytest.mark.parametrize(("kind", "kind_of_break"), with_kinds(["end", "garbage"]))
async def test_the_plain_client_tells_of_a_cut_reply_after_its_events(
    kind: str, kind_of_break: Any
) -> None:
    async with World(kind, AT_ONCE) as world:
        instance = await world.provision()
        world.fake.break_stream(kind_of_break, after_events=3)
        told: list[ChatEvent | None] = []
        async with (
            within(world.client()) as client,
            within(client.stream_chat(instance.id, "hello")) as events,
        ):
            told += [await next_of(events) for _ in range(3)]
            with pytest.raises(ChatError, match="the reply was cut"):
                await next_of(events)
        assert None not in told
