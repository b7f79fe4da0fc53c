"""The async fixtures under pytest-asyncio, its marker given."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke import AsyncSmokeClient, AsyncSmokeInstance, AsyncSmokeInstanceFactory

pytestmark = pytest.mark.asyncio


async def test_instance(async_smoke_instance: AsyncSmokeInstance) -> None:
    turn = await async_smoke_instance.chat("hello")
    assert turn.text == "I am ready."
    await turn.expect_llm_events(at_least=1)


async def test_instance_again(async_smoke_instance: AsyncSmokeInstance) -> None:
    assert (await async_smoke_instance.status()).status == "running"


async def test_factory(
    async_smoke_instance_factory: AsyncSmokeInstanceFactory, async_smoke_client: AsyncSmokeClient
) -> None:
    async with async_smoke_client, await async_smoke_instance_factory() as instance:
        assert (await async_smoke_client.status(instance.id)).status == "running"
    left = await async_smoke_instance_factory.many(2)
    assert len(left) == 2
