"""The async fixtures under anyio."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke import (
    AsyncSmokeClient,
    AsyncSmokeInstance,
    AsyncSmokeInstanceFactory,
    ConfigError,
    NotFoundError,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_instance(async_smoke_instance: AsyncSmokeInstance) -> None:
    turn = await async_smoke_instance.chat("hello")
    assert turn.text == "I am ready."
    await turn.expect_llm_events(at_least=1)


async def test_factory(
    async_smoke_instance_factory: AsyncSmokeInstanceFactory, async_smoke_client: AsyncSmokeClient
) -> None:
    async with async_smoke_client, await async_smoke_instance_factory(tier_id="x") as instance:
        assert (await async_smoke_client.status(instance.id)).status == "running"
        await instance.delete()
        with pytest.raises(NotFoundError):
            await async_smoke_client.status(instance.id)


async def test_factory_many(async_smoke_instance_factory: AsyncSmokeInstanceFactory) -> None:
    two = await async_smoke_instance_factory.many(2, agent_name="one of two")
    assert len({instance.id for instance in two}) == 2
    for instance in two:
        assert (await instance.chat("hello")).text == "I am ready."
        # Deleted here only to make room.
        await instance.delete()


async def test_factory_of_nonsense(
    async_smoke_instance_factory: AsyncSmokeInstanceFactory,
) -> None:
    with pytest.raises(ConfigError, match="asks for nothing"):
        await async_smoke_instance_factory.many(0)
    with pytest.raises(ConfigError, match="not an instance spec"):
        await async_smoke_instance_factory(tier="x")
