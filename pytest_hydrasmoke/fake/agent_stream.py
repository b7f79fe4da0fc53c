"""Relay a real agent's chat turn over a connection: as it comes, or broken as somebody asked."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from .agent_events import AgentError, Conversation, Heard
from .chat_stream import BEGIN, gone, hang_up
from .state import OpenTurn

if TYPE_CHECKING:
    from .agent import Agent

_LINGER = 2.0
"""Seconds for an agent after its last event, though its client has left: some remember then."""


class AgentStream:
    """An ASGI response: one chat turn of a real agent.

    `answers`, if given, makes the response once the agent has said all that it says.
    """

    def __init__(
        self,
        agent: Agent,
        turn: OpenTurn,
        conversation: Conversation,
        message: str,
        answers: Callable[[bytes], ASGIApp] | None,
    ) -> None:
        self._agent = agent
        self._turn = turn
        self._conversation = conversation
        self._asked = {"id": str(uuid.uuid4()), "role": "user", "content": message}
        self._answers = answers
        self._heard = Heard(agent.api)

    def instead(self, answer: ASGIApp) -> ASGIApp:
        """Return what answers in its place, once the agent has done its work."""

        def done(body: bytes) -> ASGIApp:
            self._turn.end()
            self._turn.over = True
            return answer

        self._answers = done
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        then: ASGIApp | None = None
        watch = anyio.CancelScope()
        try:
            async with anyio.create_task_group() as group:

                async def leave_with_client() -> None:
                    with watch:
                        await gone(receive)
                        await anyio.sleep(_LINGER if self._heard.over else 0)
                        group.cancel_scope.cancel()

                group.start_soon(leave_with_client)
                then = await self._answer(send)
                watch.cancel()
        finally:
            if then is None:
                self._end()
        if then is not None:
            await then(scope, receive, send)

    async def _answer(self, send: Send) -> ASGIApp | None:
        """Ask the agent, and relay what it says; or return what answers then."""
        begun, body = False, b""
        before, name = self._conversation.messages, self._conversation.name
        try:
            async with self._agent.turn(before, self._asked, name) as chunks:
                begun = True
                if self._answers is None:
                    await send(BEGIN)
                async for chunk in chunks:
                    self._heard.feed(chunk)
                    if self._answers is not None:
                        body += chunk
                        continue
                    if self._heard.over:
                        self._end()  # Before the client can know.
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except AgentError as problem:
            self._end()
            return hang_up if begun else JSONResponse({"detail": str(problem)}, 502)
        if self._answers is not None:
            self._note()
            return self._answers(body)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return None

    def _note(self) -> None:
        """Note the turn's LLM events, and what it adds to the conversation if it is whole."""
        heard = self._heard
        self._turn.told = heard.providers
        if heard.whole and not self._turn.ended:
            texts = heard.said.items()
            said = [{"id": name, "role": "assistant", "content": it} for name, it in texts]
            self._conversation.messages += [self._asked, *said] if said else []

    def _end(self) -> None:
        self._note()
        self._turn.end()
        self._turn.over = True
