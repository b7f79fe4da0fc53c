"""The fake's streams as the SDKs of those who made the frames read them: `heavy -- readers`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
from fake_tools import PREFIX, Calling, HandClock, events
from pydantic import TypeAdapter

from pytest_hydrasmoke import InstanceSpec, SmokeClient
from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.scenario import Runtime

PLAIN = {"objects", "named", "text"}
"""Runtimes that tell of no tools."""
FAILED = "the agent has failed"

pytestmark = pytest.mark.readers
ARGUMENTS = {"city": "Oslo", "days": [1, 2]}
WRITTEN_ARGUMENTS = '{"city":"Oslo","days":[1,2]}'
SCRIPTED: dict[str, Any] = {
    "match": "cold",
    "text": "It is cold, señor 🐙.",
    "reasoning": "Let me look.",
    "tool_calls": [
        {"name": "look", "arguments": ARGUMENTS, "result": {"temperature": -3}},
        {"name": "wait", "result": "waited"},
    ],
}
RESULTS = ['{"temperature":-3}', "waited"]
MESSAGE = "Is it cold?"
TOKENS = (4, 22)
"""Those of such a turn, read and written."""


@pytest.fixture
def streamed(calling: Calling, clock: HandClock) -> Iterator[Callable[..., Any]]:
    """Give `streamed(sdk, kind, runtime)`: a turn's events, as an SDK's client reads them."""
    clients: list[Any] = []

    def make(sdk: Any, kind: Any, runtime: str, **scenario: Any) -> Any:
        caller = calling(runtime=runtime, replies=[SCRIPTED], **scenario)
        router, openai = caller.router, hasattr(sdk, "OpenAI")
        # The token is in the router's header, and not in Anthropic's.
        key = {"api_key": router.token} if openai else {"api_key": None, "auth_token": router.token}
        client = (sdk.OpenAI if openai else sdk.Anthropic)(base_url=router.url, **key)
        clients.append(client)
        path = f"{PREFIX}/instances/{caller.ready(clock)}/chat"
        body, stream = {"message": MESSAGE}, {"stream": True, "stream_cls": sdk.Stream[kind]}
        return client.post(path, cast_to=kind, body=body, **stream)

    yield make
    for client in clients:
        client.close()


Streamed = Callable[..., Any]


@pytest.mark.parametrize("runtime", get_args(Runtime))
def test_the_openai_sdk_takes_a_turn_for_a_conversation(runtime: Runtime) -> None:
    from openai.types.chat import ChatCompletionMessageParam

    look, wait = SCRIPTED["tool_calls"]
    # Two calls side by side, of which one has no result.
    reply = {**SCRIPTED, "tool_calls": [look, {"name": wait["name"]}]}
    scenario = Scenario(runtime=runtime, replies=[reply], row_after=0, statuses=((0, "running"),))
    spec = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
    with FakeRouter(scenario) as fake, SmokeClient(fake.url, token=fake.token) as client:
        accepted = client.provision(spec, "key-0")
        with client.stream_chat(str(accepted.instance_id), MESSAGE) as stream:
            list(stream)
    messages = stream.turn.as_messages()
    kind: TypeAdapter[Any] = TypeAdapter(list[ChatCompletionMessageParam])
    # Calls are validated as they are read: the dump reads them.
    assert json.loads(kind.dump_json(kind.validate_python(messages))) == messages
    called = [len(it.get("tool_calls", ())) for it in messages if it["role"] == "assistant"]
    results = [it["content"] for it in messages if it["role"] == "tool"]
    assert called == ([0] if runtime in PLAIN else [2, 0])
    assert results[1:] == ([] if runtime in PLAIN else [""])


@pytest.mark.parametrize("runtime", ["openai", "hermes"])
@pytest.mark.parametrize("way", [{}, {"keep_alive": True}], ids=str)
def test_the_openai_sdk_reads_chat_chunks(streamed: Streamed, runtime: str, way: Any) -> None:
    import openai
    from openai.lib.streaming.chat import ChatCompletionStreamState
    from openai.types.chat import ChatCompletionChunk

    state: Any = ChatCompletionStreamState()
    for chunk in streamed(openai, ChatCompletionChunk, runtime, **way):
        # The SDK gives named events, which Hermes sends for its tools, as chunks too.
        if getattr(chunk, "object", None) == "chat.completion.chunk":
            state.handle_chunk(chunk)
    found = state.get_final_completion()
    [choice] = found.choices
    assert choice.message.content == SCRIPTED["text"]
    assert choice.message.reasoning_content == SCRIPTED["reasoning"]
    assert choice.finish_reason == "stop"
    if runtime == "openai":
        calls = [(it.id, it.function) for it in choice.message.tool_calls]
        told = [(name, it.name, it.arguments) for name, it in calls]
        assert told == [("call_1", "look", WRITTEN_ARGUMENTS), ("call_2", "wait", "{}")]
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == TOKENS
    with pytest.raises(openai.APIError, match=FAILED):
        list(streamed(openai, ChatCompletionChunk, runtime, agent_dies="error"))


def test_the_openai_sdk_reads_responses(streamed: Streamed) -> None:
    import openai
    from openai.lib.streaming.responses._responses import ResponseStreamState
    from openai.types.responses import ResponseStreamEvent

    state: Any = ResponseStreamState(input_tools=openai.omit, text_format=openai.omit)
    for event in streamed(openai, ResponseStreamEvent, "responses"):
        # The SDK takes anything, and so each is held against its own model.
        type(event).model_validate(event.to_dict())
        state.handle_event(event)
    found = state._completed_response
    assert found.output_text == SCRIPTED["text"]
    by_type = {it.type: it for it in found.output}
    assert by_type["reasoning"].summary[0].text == SCRIPTED["reasoning"]
    called = [it for it in found.output if it.type == "function_call"]
    assert [(it.name, it.call_id) for it in called] == [("look", "call_1"), ("wait", "call_2")]
    assert json.loads(called[0].arguments) == ARGUMENTS
    assert [it.output for it in found.output if it.type == "function_call_output"] == RESULTS
    assert (found.usage.input_tokens, found.usage.output_tokens) == TOKENS
    *_, last = streamed(openai, ResponseStreamEvent, "responses", agent_dies="error")
    assert (last.type, last.response.error.message) == ("response.failed", FAILED)


@pytest.mark.parametrize("way", [{}, {"keep_alive": True}], ids=str)
def test_the_anthropic_sdk_reads_messages(streamed: Streamed, way: Any) -> None:
    import anthropic
    from anthropic.lib.streaming import MessageStream
    from anthropic.types import RawMessageStreamEvent

    def read(**more: Any) -> Any:
        events = streamed(anthropic, RawMessageStreamEvent, "anthropic", **more)
        return MessageStream(events, output_format=anthropic.not_given).get_final_message()

    found = read(**way)
    thinking, look, wait, text = found.content
    assert (thinking.thinking, text.text) == (SCRIPTED["reasoning"], SCRIPTED["text"])
    assert (look.id, look.name, look.input) == ("call_1", "look", ARGUMENTS)
    assert (wait.id, wait.name, wait.input) == ("call_2", "wait", {})
    assert found.stop_reason == "end_turn"
    assert (found.usage.input_tokens, found.usage.output_tokens) == TOKENS
    with pytest.raises(anthropic.APIError, match=FAILED):
        read(agent_dies="error")


Told = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def told(calling: Calling, clock: HandClock) -> Told:
    """Give `told(runtime)`: the objects of a turn's events."""

    def make(runtime: str, **scenario: Any) -> list[dict[str, Any]]:
        caller = calling(runtime=runtime, replies=[SCRIPTED], **scenario)
        data = events(caller, caller.ready(clock), MESSAGE)
        return [json.loads(it) for it in data if it != "[DONE]"]

    return make


def test_the_models_of_ag_ui_read_its_events(told: Told) -> None:
    from ag_ui.core import Event

    model: TypeAdapter[Any] = TypeAdapter(Event)

    def read(**scenario: Any) -> list[Any]:
        data = [json.dumps(it) for it in told("ag-ui", **scenario)]
        return [model.validate_json(it, strict=True) for it in data]

    assert read(agent_dies="error")[-1].message == FAILED
    found = read()
    assert all(event.model_extra in (None, {}) for event in found)
    by_type: dict[str, list[Any]] = {}
    for event in found:
        by_type.setdefault(event.type.value, []).append(event)

    def joined(kind: str) -> str:
        return "".join(event.delta for event in by_type[kind])

    assert joined("TEXT_MESSAGE_CONTENT") == SCRIPTED["text"]
    assert joined("REASONING_MESSAGE_CONTENT") == SCRIPTED["reasoning"]
    assert joined("TOOL_CALL_ARGS") == WRITTEN_ARGUMENTS + "{}"
    assert [it.content for it in by_type["TOOL_CALL_RESULT"]] == RESULTS
    [usage] = by_type["RUN_FINISHED"][0].usage
    assert (usage.input_tokens, usage.output_tokens) == TOKENS


def test_the_models_of_ui_message_streams_read_their_parts(told: Told) -> None:
    from pydantic_ai.ui.vercel_ai import response_types

    kinds: dict[str, Any] = {}
    for kind in response_types.BaseChunk.__subclasses__():
        for name in get_args(kind.model_fields["type"].annotation):
            kinds[name] = kind

    def read(**scenario: Any) -> list[Any]:
        parts = told("ai-sdk", **scenario)
        return [kinds[part["type"]].model_validate(part) for part in parts]

    assert read(agent_dies="error")[-1].error_text == FAILED
    found = read()
    assert "".join(it.delta for it in found if it.type == "text-delta") == SCRIPTED["text"]
    outputs = [it.output for it in found if it.type == "tool-output-available"]
    assert outputs == [{"temperature": -3}, "waited"]
