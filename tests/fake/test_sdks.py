"""The fake's streams as the SDKs of those who made the frames read them: `heavy -- readers`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
from fake_tools import Caller, HandClock
from httpx_sse import EventSource
from pydantic import TypeAdapter

from pytest_hydrasmoke import InstanceSpec, SmokeClient
from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.scenario import Runtime

PLAIN = {"objects", "named", "text"}
"""Runtimes that tell of no tools."""

pytestmark = pytest.mark.readers
Calling = Callable[..., Caller]
ARGUMENTS = {"city": "Oslo", "days": [1, 2]}
SCRIPTED: dict[str, Any] = {
    "match": "cold",
    "text": "It is cold, señor 🐙.",
    "reasoning": "Let me look.",
    "tool_calls": [
        {"name": "look", "arguments": ARGUMENTS, "result": {"temperature": -3}},
        {"name": "wait", "result": "waited"},
    ],
}
BODY = {"message": "Is it cold?"}
READ, WRITTEN = 4, 22
"""The tokens of such a turn."""


class Endpoint:
    """Where a scripted turn of a runtime is to be had."""

    def __init__(self, router: FakeRouter, path: str) -> None:
        self.url, self.token, self.path = router.url, router.token, path


@pytest.fixture
def endpoint(calling: Calling, clock: HandClock) -> Callable[..., Endpoint]:
    def make(runtime: str, **scenario: Any) -> Endpoint:
        caller = calling(runtime=runtime, replies=[SCRIPTED], **scenario)
        instance_id = caller.ready(clock)
        return Endpoint(caller.router, f"/internal/v1/smoke/instances/{instance_id}/chat")

    return make


Making = Callable[..., Endpoint]


@pytest.mark.parametrize("runtime", get_args(Runtime))
def test_the_openai_sdk_takes_a_turn_for_a_conversation(runtime: Runtime) -> None:
    from openai.types.chat import ChatCompletionMessageParam

    look, wait = SCRIPTED["tool_calls"]
    # Two calls side by side, of which one has no result.
    reply = {**SCRIPTED, "tool_calls": [look, {"name": wait["name"]}]}
    scenario = Scenario(runtime=runtime, replies=[reply], statuses=((0, "running"),))
    spec = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
    with FakeRouter(scenario) as fake, SmokeClient(fake.url, token=fake.token) as client:
        accepted = client.provision(spec, "key-0")
        while not client.poll("key-0").found:
            pass
        with client.stream_chat(str(accepted.instance_id), "Is it cold?") as stream:
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
@pytest.mark.parametrize("way", [{}, {"keep_alive": True, "line_end": "crlf"}], ids=str)
def test_the_openai_sdk_reads_chat_chunks(endpoint: Making, runtime: str, way: Any) -> None:
    from openai import OpenAI, Stream
    from openai.lib.streaming.chat import ChatCompletionStreamState
    from openai.types.chat import ChatCompletionChunk

    place = endpoint(runtime, **way)
    with OpenAI(base_url=place.url, api_key=place.token) as client:
        state: Any = ChatCompletionStreamState()
        chunks = client.post(
            place.path,
            cast_to=ChatCompletionChunk,
            body=BODY,
            stream=True,
            stream_cls=Stream[ChatCompletionChunk],
        )
        for chunk in chunks:
            # The SDK gives named events, which Hermes sends for its tools, as chunks too.
            if getattr(chunk, "object", None) == "chat.completion.chunk":
                state.handle_chunk(chunk)
    found = state.get_final_completion()
    [choice] = found.choices
    assert choice.message.content == SCRIPTED["text"]
    assert choice.message.reasoning_content == SCRIPTED["reasoning"]
    assert choice.finish_reason == "stop"
    if runtime == "openai":
        calls = [
            (it.id, it.function.name, it.function.arguments) for it in choice.message.tool_calls
        ]
        assert calls == [("call_1", "look", dumped(ARGUMENTS)), ("call_2", "wait", "{}")]
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (READ, WRITTEN)


def dumped(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def responses(place: Endpoint) -> Iterator[Any]:
    from openai import OpenAI, Stream
    from openai.types.responses import ResponseStreamEvent

    with OpenAI(base_url=place.url, api_key=place.token) as client:
        kind: Any = ResponseStreamEvent
        yield from client.post(
            place.path, cast_to=kind, body=BODY, stream=True, stream_cls=Stream[kind]
        )


def test_the_openai_sdk_reads_responses(endpoint: Making) -> None:
    from openai import omit
    from openai.lib.streaming.responses._responses import ResponseStreamState

    state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
    for event in responses(endpoint("responses")):
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
    outputs = [it.output for it in found.output if it.type == "function_call_output"]
    assert outputs == ['{"temperature":-3}', "waited"]
    assert (found.usage.input_tokens, found.usage.output_tokens) == (READ, WRITTEN)


def test_the_openai_sdk_reads_failures(endpoint: Making) -> None:
    from openai import APIError, OpenAI, Stream
    from openai.types.chat import ChatCompletionChunk

    dies = {"agent_dies": "error"}
    last = list(responses(endpoint("responses", **dies)))[-1]
    assert (last.type, last.response.error.message) == ("response.failed", "the agent has failed")
    place = endpoint("openai", **dies)
    with OpenAI(base_url=place.url, api_key=place.token) as client:
        chunks = client.post(
            place.path,
            cast_to=ChatCompletionChunk,
            body=BODY,
            stream=True,
            stream_cls=Stream[ChatCompletionChunk],
        )
        with pytest.raises(APIError, match="the agent has failed"):
            list(chunks)


@pytest.fixture
def messages(endpoint: Making) -> Iterator[Callable[..., Any]]:
    from anthropic import Anthropic, Stream, not_given
    from anthropic.lib.streaming import MessageStream
    from anthropic.types import RawMessageStreamEvent

    clients: list[Anthropic] = []

    def stream(**scenario: Any) -> Any:
        place = endpoint("anthropic", **scenario)
        # The token is in the router's header, and not in Anthropic's.
        clients.append(Anthropic(base_url=place.url, api_key=None, auth_token=place.token))
        kind: Any = RawMessageStreamEvent
        events = clients[-1].post(
            place.path, cast_to=kind, body=BODY, stream=True, stream_cls=Stream[kind]
        )
        return MessageStream(events, output_format=not_given)

    yield stream
    for client in clients:
        client.close()


@pytest.mark.parametrize("way", [{}, {"keep_alive": True, "line_end": "cr"}], ids=str)
def test_the_anthropic_sdk_reads_messages(messages: Callable[..., Any], way: Any) -> None:
    found = messages(**way).get_final_message()
    thinking, look, wait, text = found.content
    assert (thinking.thinking, text.text) == (SCRIPTED["reasoning"], SCRIPTED["text"])
    assert (look.id, look.name, look.input) == ("call_1", "look", ARGUMENTS)
    assert (wait.id, wait.name, wait.input) == ("call_2", "wait", {})
    assert found.stop_reason == "end_turn"
    assert (found.usage.input_tokens, found.usage.output_tokens) == (READ, WRITTEN)


def test_the_anthropic_sdk_reads_a_failure(messages: Callable[..., Any]) -> None:
    from anthropic import APIError

    with pytest.raises(APIError, match="the agent has failed"):
        messages(agent_dies="error").get_final_message()


def frames(caller: Caller, clock: HandClock, message: str = "Is it cold?") -> list[str]:
    answer = caller.chat(caller.ready(clock), message)
    events = EventSource(answer).iter_sse()
    return [event.data for event in events if event.data != "[DONE]"]


@pytest.mark.parametrize("dies", ["never", "error"])
def test_the_models_of_ag_ui_read_its_events(calling: Calling, clock: HandClock, dies: str) -> None:
    from ag_ui.core import Event

    model: TypeAdapter[Any] = TypeAdapter(Event)
    caller = calling(runtime="ag-ui", replies=[SCRIPTED], agent_dies=dies)
    events = [model.validate_json(data, strict=True) for data in frames(caller, clock)]
    assert all(event.model_extra in (None, {}) for event in events)
    if dies == "error":
        assert events[-1].message == "the agent has failed"
        return
    by_type: dict[str, list[Any]] = {}
    for event in events:
        by_type.setdefault(event.type.value, []).append(event)

    def joined(kind: str) -> str:
        return "".join(event.delta for event in by_type[kind])

    assert joined("TEXT_MESSAGE_CONTENT") == SCRIPTED["text"]
    assert joined("REASONING_MESSAGE_CONTENT") == SCRIPTED["reasoning"]
    assert joined("TOOL_CALL_ARGS") == dumped(ARGUMENTS) + "{}"
    assert [it.content for it in by_type["TOOL_CALL_RESULT"]] == ['{"temperature":-3}', "waited"]
    [usage] = by_type["RUN_FINISHED"][0].usage
    assert (usage.input_tokens, usage.output_tokens) == (READ, WRITTEN)


@pytest.mark.parametrize("dies", ["never", "error"])
def test_the_models_of_ui_message_streams_read_their_parts(
    calling: Calling, clock: HandClock, dies: str
) -> None:
    from pydantic_ai.ui.vercel_ai import response_types

    kinds: dict[str, Any] = {}
    for kind in response_types.BaseChunk.__subclasses__():
        for name in get_args(kind.model_fields["type"].annotation):
            kinds[name] = kind
    caller = calling(runtime="ai-sdk", replies=[SCRIPTED], agent_dies=dies)
    parts = [json.loads(data) for data in frames(caller, clock)]
    read = [kinds[part["type"]].model_validate(part) for part in parts]
    if dies == "error":
        assert read[-1].error_text == "the agent has failed"
        return
    assert "".join(it.delta for it in read if it.type == "text-delta") == SCRIPTED["text"]
    [look, wait] = [it for it in read if it.type == "tool-output-available"]
    assert (look.output, wait.output) == ({"temperature": -3}, "waited")
