"""A suite of coroutines: the same instance for all, and several at once where that is the point."""

from __future__ import annotations

import asyncio

from pytest_hydrasmoke import AsyncSmokeInstance, AsyncSmokeInstanceFactory


async def test_it_answers(async_smoke_instance: AsyncSmokeInstance) -> None:
    turn = await async_smoke_instance.chat("Are you ready?")
    assert "ready" in turn.text
    await turn.expect_llm_events(at_least=1)


async def test_the_reply_can_be_read_as_it_comes(async_smoke_instance: AsyncSmokeInstance) -> None:
    async with async_smoke_instance.stream_chat("Count to three.") as events:
        seen = [event.at async for event in events]
    assert seen == sorted(seen)


async def test_two_agents_do_not_hear_each_other(
    async_smoke_instance_factory: AsyncSmokeInstanceFactory,
) -> None:
    one, two = await async_smoke_instance_factory.many(2)
    async with one, two:
        first, second = await asyncio.gather(one.chat("I am one."), two.chat("I am two."))
        assert first.complete
        assert second.complete
        # Each turn has been counted on its own instance.
        await first.expect_llm_events(at_least=1)
        await second.expect_llm_events(at_least=1)
