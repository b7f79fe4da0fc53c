"""A chat in each way in which events are read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_hydrasmoke import AsyncSmokeInstance, SmokeInstance

HOOKS = ["instance_ready", "new_conversation", "chat_text", "chat_end"]


@pytest.fixture(autouse=True, scope="session", params=HOOKS)
def raises(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAISES", request.param)
        yield


def test_chat(smoke_instance: SmokeInstance) -> None:
    smoke_instance.chat("hello")


def test_stream(smoke_instance: SmokeInstance) -> None:
    with smoke_instance.stream_chat("hello") as events:
        for _ in events:
            pass


@pytest.mark.anyio
async def test_async(async_smoke_instance: AsyncSmokeInstance) -> None:
    await async_smoke_instance.chat("hello")
