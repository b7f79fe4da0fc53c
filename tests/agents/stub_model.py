"""A model server on loopback, which speaks OpenAI's chat completions and behaves as it is told.

The first word of a message says how: `tool`, `refuse`, `slow`, `cut`; `recall` is answered with all
that the user has said before; any other is answered.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from pytest_hydrasmoke.fake.chat_stream import HANG_UP

REPLY = ("I am ready. ", "All is well. " * 45, "Ask me.")
"""Longer than what an agent would repeat of it elsewhere."""
LOOK = "I look it up."
THOUGHT = "This needs a plan."
ANSWER = ("It is ", "cold.")
TOOL = "todo"
ARGUMENTS = {"todos": [{"id": "1", "content": "Look it up", "status": "pending"}]}
REFUSAL = "no credit left"
PAUSE = 0.4
"""Seconds before each piece of a slow reply."""
USAGE = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}


def _chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    named = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "stub"}
    return {**named, "choices": [choice], **more}


def _said(*texts: str) -> list[dict[str, Any]]:
    return [_chunk({"content": text}) for text in texts]


def _tool_call() -> list[dict[str, Any]]:
    """Think, say something, and call a tool, whose arguments come in pieces."""
    arguments = json.dumps(ARGUMENTS)
    first = {"index": 0, "id": "call_1", "type": "function"}
    return [
        _chunk({"role": "assistant", "content": None, "reasoning_content": THOUGHT}),
        *_said(LOOK),
        _chunk({"tool_calls": [{**first, "function": {"name": TOOL, "arguments": ""}}]}),
        *(
            _chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
            for piece in (arguments[:9], arguments[9:])
        ),
    ]


def _asked(messages: list[dict[str, Any]]) -> list[str]:
    """Return what the user has said.

    An agent may add words of its own, and puts messages that had no answer before the last one.
    """
    asked = [str(it["content"]) for it in messages if it["role"] == "user"]
    return [it.rpartition("\n\n")[2] for it in asked if not it.startswith("[System")]


class StubModel:
    """The server's application; `spent` is told whose call has run to its end."""

    def __init__(self, spent: Callable[[str], None]) -> None:
        self._spent = spent
        path = "/{caller}/v1/chat/completions"
        self.app = Starlette(routes=[Route(path, self._complete, methods=["POST"])])

    async def _complete(self, request: Request) -> Response:
        asked = await request.json()
        assert asked["stream"], "only streams are asked for"
        *before, last = _asked(asked["messages"])
        way = last.split()[0]
        if way == "refuse":
            return JSONResponse({"error": {"message": REFUSAL, "type": "insufficient_quota"}}, 401)
        chunks, finish = _said(*REPLY), "stop"
        if way == "tool":
            calls_it = asked["messages"][-1]["role"] != "tool"
            chunks, finish = (_tool_call(), "tool_calls") if calls_it else (_said(*ANSWER), finish)
        elif way == "recall":
            chunks = _said(f"You said: {before}")
        elif way in ("slow", "cut"):
            chunks = _said(*ANSWER)

        async def stream() -> AsyncIterator[str]:
            for number, chunk in enumerate(chunks):
                if way == "slow":
                    await asyncio.sleep(PAUSE)
                if way == "cut" and number:
                    request.scope["extensions"][HANG_UP]()
                    return
                yield f"data: {json.dumps(chunk)}\n\n"
            yield f"data: {json.dumps(_chunk({}, finish, usage=USAGE))}\n\n"
            self._spent(request.path_params["caller"])
            yield "data: [DONE]\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")
