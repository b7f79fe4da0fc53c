"""A router that says what the fake says, in another form: as a newer or another one may."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pytest_hydrasmoke.fake import FakeRouter

Change = Callable[[dict[str, Any]], dict[str, Any]]


def give_form(
    router: FakeRouter, change: Change = lambda answer: answer, line_end: bytes = b"\n"
) -> FakeRouter:
    """Change the router's answers before it serves: each success, and the line ends of streams."""
    router.app = Starlette(routes=[Mount("", _in_form(router.app, _Form(change, line_end)))])
    return router


def odd(answer: dict[str, Any]) -> dict[str, Any]:
    """Write a status in mixed letters, and each provider twice."""
    if isinstance(word := answer.get("status"), str):
        mixed = (it.upper() if at % 2 else it.lower() for at, it in enumerate(word))
        answer["status"] = "".join(mixed)
    if providers := answer.get("providers"):
        answer["providers"] = [*providers, *providers]
    return answer


@dataclass(frozen=True)
class _Form:
    change: Change
    line_end: bytes

    def of_answer(self, body: bytes) -> bytes:
        return json.dumps(self.change(json.loads(body))).encode()

    def of_stream(self, chunk: bytes) -> bytes:
        return chunk.replace(b"\n", self.line_end)


def _in_form(app: ASGIApp, form: _Form) -> ASGIApp:
    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        begun: list[Message] = []

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                if not _is_answer(scope["path"], message):
                    await send(message)
                else:
                    begun.append(message)
            elif not begun:
                await send({**message, "body": form.of_stream(message.get("body", b""))})
            else:
                # The fake sends the whole of it at once.
                body = form.of_answer(message["body"])
                [start] = begun
                kept = [it for it in start["headers"] if it[0] != b"content-length"]
                length = (b"content-length", b"%d" % len(body))
                await send({**start, "headers": [*kept, length]})
                await send({**message, "body": body})

        await app(scope, receive, sent)

    return answered


def _is_answer(path: str, start: Message) -> bool:
    is_json = (b"content-type", b"application/json") in start["headers"]
    return is_json and start["status"] < 400 and "/smoke/" in path
