"""An agent on loopback that speaks OpenAI's chat completions, as a test tells it to.

The first word of a message says how it answers; any other word is answered with what it remembers.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gates import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from pytest_hydrasmoke.fake.chat_stream import HANG_UP

USAGE = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}


@dataclass
class StubAgent:
    """What the agent is like, and what it was asked."""

    models: Sequence[str] = ("stub-1",)
    token: str | None = None
    remembers: bool = False
    """Whether it keeps conversations itself, by Hermes' header, and reads the last message only."""
    answers: Response | None = None
    """What every request is answered with, in place of all else."""
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    headers: list[Mapping[str, str]] = field(default_factory=list[Mapping[str, str]])
    finished: list[str] = field(default_factory=list[str])
    """The messages of the turns after whose last event it could do something."""
    url: str = ""

    def __post_init__(self) -> None:
        self._memory: dict[str, list[str]] = {}
        self.app = Starlette(
            routes=[
                Route("/v1/models", self._list),
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
            ]
        )

    def _refusal(self, request: Request) -> Response | None:
        if self.answers is not None:
            return self.answers
        given = request.headers.get("authorization")
        if self.token is not None and given != f"Bearer {self.token}":
            return JSONResponse({"error": {"message": f"not a key of mine: {given}"}}, 401)
        return None

    async def _list(self, request: Request) -> Response:
        listed = {"data": [{"id": name, "object": "model"} for name in self.models]}
        return self._refusal(request) or JSONResponse(listed)

    async def _complete(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        body = await request.json()
        self.asked.append(body)
        self.headers.append(dict(request.headers))
        said = [it["content"] for it in body["messages"] if it["role"] == "user"]
        if self.remembers:
            known = self._memory.setdefault(request.headers["x-hermes-session-id"], [])
            known.append(said[-1])
            said = [*known]
        match said[-1].split()[0]:
            case "refuse":
                return JSONResponse({"error": {"message": f"no credit left {'x' * 500}"}}, 402)
            case "html":
                return HTMLResponse("<h1>It works</h1>")
            case _:
                chunks = _chunks(said)
        return StreamingResponse(
            self._streamed(request, said[-1], chunks), media_type="text/event-stream"
        )

    async def _streamed(
        self, request: Request, message: str, data: Sequence[str]
    ) -> AsyncIterator[bytes]:
        for one in data:
            if one == "CUT":
                request.scope["extensions"][HANG_UP]()
                return
            yield f"data: {one}\n\n".encode()
        self.finished.append(message)


def _chunk(content: str | None = None, finish: str | None = None, **more: Any) -> str:
    delta = {} if content is None else {"content": content}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return json.dumps({"id": "c1", "object": "chat.completion.chunk", "choices": choices} | more)


def _chunks(said: Sequence[str]) -> list[str]:
    """Return the data of a turn's events."""
    words = [_chunk("I heard: "), _chunk(" | ".join(said))]
    usage = _chunk(id="c1", choices=[], usage=USAGE)
    match said[-1].split()[0]:
        case "cut":
            return [words[0], "CUT"]
        case "early":
            return [words[0]]
        case "fail":
            broken = _chunk(finish="error", error={"message": "the model is gone"})
            return [words[0], broken, "[DONE]"]
        case "untold":
            return [*words, _chunk(finish="stop"), "[DONE]"]
        case "twice":
            first = [_chunk("Let me look. ", id="c0"), _chunk(id="c0", choices=[], usage=USAGE)]
            return [*first, *words, _chunk(finish="stop"), usage, "[DONE]"]
        case _:
            return [*words, _chunk(finish="stop"), usage, "[DONE]"]


@contextmanager
def served(agent: StubAgent) -> Iterator[StubAgent]:
    """Serve an agent, and set its URL."""
    with serving(agent.app) as agent.url:
        yield agent
