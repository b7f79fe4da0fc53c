"""What callers give: ids as texts or UUIDs, and clear errors for what nothing can be done with."""

from __future__ import annotations

import inspect
import uuid
from typing import Any

import pytest

from pytest_hydrasmoke import AsyncSmokeClient, ConfigError, InstanceSpec, SmokeClient
from pytest_hydrasmoke._core.arguments import seconds_of
from pytest_hydrasmoke.fake import FakeRouter, Scenario

pytestmark = pytest.mark.anyio
SPEC = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
QUICK = Scenario(row_after=0.0, statuses=((0.0, "running"),), llm_events_lag=0.0)
WRONG: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "an id of another type": ("status", (17,), "instance_id can't be 17"),
    "an id that is None": ("delete", (None,), "instance_id can't be NoneType"),
    "an id in bytes": ("llm_events", (b"x",), "instance_id can't be bytes"),
    "a window that is a text": ("llm_events", ("x", "900"), "window_seconds can't be str"),
    "a window with a fraction": ("llm_events", ("x", 1.5), "window_seconds can't be 1.5"),
    "a window that is a truth": ("llm_events", ("x", True), "window_seconds can't be True"),
    "a message that is none": ("stream_chat", ("x", None), "message can't be NoneType"),
    "a key that is a number": ("poll", (3,), "idempotency_key can't be 3"),
    "a spec that is a mapping": ("provision", ({}, "key"), "spec can't be dict"),
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


@pytest.mark.parametrize("kind", [SmokeClient, AsyncSmokeClient])
async def test_an_id_is_a_text_or_a_uuid(kind: Any) -> None:
    with FakeRouter(QUICK) as fake:
        client = kind(fake.url, token=fake.token)
        accepted = await result(client.provision(SPEC, "key-0"))
        one = uuid.UUID(accepted.instance_id)
        assert (await result(client.status(one))).id == str(one)
        assert (await result(client.llm_events(one))).instance_id == str(one)
        stream = client.stream_chat(one, "hello")
        if kind is SmokeClient:
            with stream as events:
                assert list(events)
        else:
            async with stream as events:
                assert [event async for event in events]
        assert (await result(client.delete(one))).instance_id == str(one)
        await result(client.close() if kind is SmokeClient else client.aclose())


@pytest.mark.parametrize("kind", [SmokeClient, AsyncSmokeClient])
async def test_an_argument_of_a_wrong_type_is_a_clear_error(kind: Any) -> None:
    client = kind("http://127.0.0.1:1", token="a-made-up-token")
    for call, arguments, words in WRONG.values():
        with pytest.raises(ConfigError) as caught:
            await result(getattr(client, call)(*arguments))
        assert caught.value.message == words
        assert "give " in str(caught.value.next_step)
    await result(client.close() if kind is SmokeClient else client.aclose())


def test_a_timeout_is_a_number_of_seconds_or_the_settings() -> None:
    for value in ("5", True, -1, float("nan"), float("inf"), [5]):
        with pytest.raises(ConfigError, match="timeout can't be"):
            seconds_of("timeout", value, 5.0)
    assert [seconds_of("timeout", it, 5.0) for it in (None, 0, 2, 0.5)] == [5.0, 0.0, 2.0, 0.5]
