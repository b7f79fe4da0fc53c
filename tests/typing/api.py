"""Never run: what users write, as the type checkers must take it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import assert_type

from pytest_hydrasmoke import (
    AsyncChatStream,
    AsyncChatTurn,
    AsyncSmokeClient,
    AsyncSmokeInstance,
    AsyncSmokeInstanceFactory,
    ChatError,
    ChatEvent,
    ChatStream,
    ChatTurn,
    DeleteResult,
    HydraSmokeConfig,
    InstanceSpec,
    InstanceStatus,
    LlmEvents,
    PollResult,
    ProvisionAccepted,
    Report,
    Scenario,
    SmokeClient,
    SmokeInstance,
    SmokeInstanceFactory,
    TokenUsage,
    ToolCall,
    VirtualClock,
)
from pytest_hydrasmoke.fake import FakeRouter


def test_instance(smoke_instance: SmokeInstance, smoke_config: HydraSmokeConfig) -> None:
    turn = smoke_instance.chat("hello", timeout=5)
    assert_type(turn, ChatTurn)
    assert_type(turn.text, str)
    assert_type(turn.events, tuple[ChatEvent, ...])
    assert_type(turn.first_event_after, float)
    assert_type(turn.complete, bool)
    assert_type(turn.tool_calls, tuple[ToolCall, ...])
    assert_type(turn.tool_calls[0].arguments, Mapping[str, object] | None)
    assert_type(turn.usage, TokenUsage | None)
    assert_type(TokenUsage(1, 2).cached_tokens, int | None)
    assert_type(turn.models, tuple[str, ...])
    assert_type(turn.trace_id, str)
    assert_type(turn.as_messages(), list[dict[str, object]])
    turn.expect_tools("a", ("b", {"c": [1]}), mode="any_order", never=["d", ("e", {})])
    assert_type(turn.reasoning, str)
    assert_type(turn.first_text_after, float | None)
    assert_type(turn.max_gap, float)
    assert_type(turn.finish_reason, str | None)
    assert_type(turn.expect_llm_events(at_least=1, at_most=2, providers={"a"}), LlmEvents)
    assert_type(turn.expect_llm_events(exactly=2, only={"a"}), LlmEvents)
    assert_type(smoke_instance.expect_llm_events(providers=["a"]), LlmEvents)
    assert_type(smoke_instance.wait(lambda status: status.status == "running"), InstanceStatus)
    with smoke_instance.stream_chat("hello") as events:
        for event in events:
            assert_type(event, ChatEvent)
    assert_type(events, ChatStream)
    assert_type(events.turn, ChatTurn)
    assert_type(smoke_config.ready_timeout, float)


async def test_async_instance(
    async_smoke_instance: AsyncSmokeInstance,
    async_smoke_instance_factory: AsyncSmokeInstanceFactory,
) -> None:
    turn = await async_smoke_instance.chat("hello")
    assert_type(turn, AsyncChatTurn)
    assert_type(turn.finish_reason, str | None)
    assert_type(await turn.expect_llm_events(), LlmEvents)
    assert_type(await turn.expect_llm_events(exactly=2, only=["a"]), LlmEvents)
    async with async_smoke_instance.stream_chat("hello") as events:
        async for event in events:
            assert_type(event, ChatEvent)
    assert_type(events, AsyncChatStream)
    assert_type(events.turn, AsyncChatTurn)
    async with await async_smoke_instance_factory(tier_id="t") as own:
        assert_type(own, AsyncSmokeInstance)
    some: list[AsyncSmokeInstance] = await async_smoke_instance_factory.many(2)
    async with await async_smoke_instance_factory.many(len(some), region_id="r") as more:
        assert_type(more[0], AsyncSmokeInstance)


def test_factory(smoke_instance_factory: SmokeInstanceFactory) -> None:
    with smoke_instance_factory(region_id="r", agent_name=None) as instance:
        assert_type(instance, SmokeInstance)
    some: list[SmokeInstance] = smoke_instance_factory.many(2)
    with smoke_instance_factory.many(len(some), region_id="r") as more:
        assert_type(more[0], SmokeInstance)


def test_client(smoke_client: SmokeClient) -> None:
    spec = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
    assert_type(smoke_client.provision(spec, "key"), ProvisionAccepted)
    assert_type(smoke_client.poll("key"), PollResult)
    assert_type(smoke_client.status("id"), InstanceStatus)
    assert_type(smoke_client.llm_events("id", window_seconds=60), LlmEvents)
    assert_type(smoke_client.llm_events("id", None), LlmEvents)
    assert_type(smoke_client.delete("id"), DeleteResult)
    with smoke_client.with_token(None) as stranger, stranger.stream_chat("id", "hi", timeout=5):
        assert_type(stranger, SmokeClient)


def test_by_hand(
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_client: SmokeClient,
    smoke_spec: InstanceSpec,
) -> None:
    with smoke_instance_factory.own("over_quota") as key:
        assert_type(key, str)
        smoke_client.provision(smoke_spec, key)


async def clients() -> AsyncIterator[AsyncSmokeClient]:
    SmokeClient("https://router.example", token="made-up-token", clock=VirtualClock())
    SmokeClient(
        "https://router.example",
        token="made-up-token",
        ca_file=Path("ca.pem"),
        trust_env=True,
        client_cert="cert.pem",
        client_key=None,
    )
    async with AsyncSmokeClient(
        "https://router.example",
        token="made-up-token",
        chat_text=lambda event: event.data,
        chat_end=lambda event: event.event == "bye",
    ) as client:
        yield client


def pytest_hydra_smoke_report(report: Report) -> None:
    assert_type(report.count("leaked"), int)
    assert_type(report.provisioned, int)


def fakes(error: ChatError) -> None:
    tool = {"name": "look", "arguments": {"city": "Oslo"}, "result": -3}
    replies = [{"match": "weather", "text": ["Cold.", "Warm."], "tool_calls": [tool]}]
    with FakeRouter(Scenario(runtime="anthropic", replies=replies)) as fake:
        fake.fail("chat", status=503, retry_after=1)
        fake.reply("weather", "It is cold.", tool_calls=[tool], reasoning="Hm.")
    assert_type(error.events, tuple[ChatEvent, ...])
