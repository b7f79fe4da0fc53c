"""Streams of pydantic-ai's adapters, whose frames are nobody's of ours; `tox -e heavy -- readers`.

A model that is a function thinks, calls a tool and answers; a router relays what an adapter makes
of that, and a client's chat is to have all of it. `test_whole_streams.py` reads what was recorded.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from gates import serving
from net_tools import AT_ONCE, SPEC, TOKEN, run_at
from runtimes_tools import DATA
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from pytest_hydrasmoke import ChatError
from pytest_hydrasmoke._sse.decoder import SseDecoder
from pytest_hydrasmoke.fake import FakeRouter

pytestmark = pytest.mark.readers
CHAT = "/internal/v1/smoke/instances/{instance_id}/chat"
QUESTION = "How is the weather in Oslo?"


def agent() -> Any:
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models.function import (
        AgentInfo,
        DeltaThinkingPart,
        DeltaToolCall,
        FunctionModel,
    )

    async def speak(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        if len(messages) > 1:
            for piece in ("It is ", "cold, ", "señor 🐙."):
                yield piece
            return
        if "fail" in str(messages):
            raise RuntimeError("the model is gone")
        for piece in ("Let me ", "look."):
            yield {0: DeltaThinkingPart(content=piece)}
        yield {1: DeltaToolCall(name="look", json_args='{"city":', tool_call_id="call_1")}
        yield {1: DeltaToolCall(json_args=' "Oslo"}')}

    it: Any = Agent(FunctionModel(stream_function=speak))

    @it.tool_plain
    def look(city: str) -> dict[str, Any]:
        return {"city": city, "temperature": -3}

    return it


def ag_ui(message: str) -> Response:
    from pydantic_ai.ui.ag_ui import AGUIAdapter

    asked = {"id": "m1", "role": "user", "content": message}
    given = {"threadId": "t1", "runId": "r1", "messages": [asked], "state": {}, "tools": []}
    body = json.dumps({**given, "context": [], "forwardedProps": {}}).encode()
    run: Any = AGUIAdapter.build_run_input(body)
    adapter = AGUIAdapter(agent=agent(), run_input=run, include_usage=True)
    return adapter.streaming_response(adapter.run_stream())


def ai_sdk(message: str) -> Response:
    from pydantic_ai.ui.vercel_ai import VercelAIAdapter

    asked = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": message}]}
    body = json.dumps({"trigger": "submit-message", "id": "c1", "messages": [asked]}).encode()
    adapter = VercelAIAdapter(agent=agent(), run_input=VercelAIAdapter.build_run_input(body))
    return adapter.streaming_response(adapter.run_stream())


ADAPTERS: dict[str, Callable[[str], Response]] = {"ag-ui": ag_ui, "ai-sdk": ai_sdk}


@pytest.fixture(params=list(ADAPTERS))
def runtime(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def url(runtime: str) -> Iterator[str]:
    """Serve a router whose agents are pydantic-ai's; all but their chats is the fake's."""

    async def chat(request: Request) -> Response:
        return ADAPTERS[runtime]((await request.json())["message"])

    fake = FakeRouter(AT_ONCE, TOKEN.reveal())
    routes = [Route(CHAT, chat, methods=["POST"]), Mount("", fake.app)]
    with serving(Starlette(routes=routes)) as url:
        yield url


def test_a_chat_has_all_that_is_told(url: str, runtime: str) -> None:
    with run_at(url, learns=True) as run:
        instance = run.provision(SPEC)
        turn = instance.chat(QUESTION)
        instance.delete()
    assert turn.text == "It is cold, señor 🐙."
    assert turn.reasoning == "Let me look."
    [call] = turn.tool_calls
    assert (call.name, call.arguments, call.id) == ("look", {"city": "Oslo"}, "call_1")
    result = call.result
    told = json.loads(result) if isinstance(result, str) else result
    assert told == {"city": "Oslo", "temperature": -3}
    assert turn.complete
    if runtime == "ag-ui":
        assert turn.usage is not None
        assert turn.usage.output_tokens > 0


def test_a_model_that_fails_fails_the_turn(url: str) -> None:
    with run_at(url, learns=True) as run:
        instance = run.provision(SPEC)
        with pytest.raises(ChatError, match="the model is gone"):
            instance.chat("fail")
        instance.delete()


def form(stream: bytes) -> list[tuple[str, ...]]:
    """Return the type and the keys of each event."""
    found: list[tuple[str, ...]] = []
    for event in SseDecoder().feed(stream):
        frame = {} if event.data == "[DONE]" else json.loads(event.data)
        found.append((event.event, frame.get("type", event.data), *sorted(frame)))
    return found


def test_the_recorded_stream_is_still_what_is_sent(url: str, runtime: str) -> None:
    """`HYDRA_GOLDEN_REFRESH=1` records it again."""
    answer = httpx.post(
        url + CHAT.format(instance_id="any"), json={"message": QUESTION}, trust_env=False
    )
    file = DATA / f"pydantic-ai-{runtime}.sse"
    if os.environ.get("HYDRA_GOLDEN_REFRESH"):
        file.write_bytes(answer.content)
    assert form(answer.content) == form(file.read_bytes())
