"""The ASGI responses of a chat: a turn that the fake has planned, or one of a real agent."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .agent_events import AgentError, Conversation, Listener
from .sse_events import Playlist
from .state import AgentTurn, Clock, RealClock

if TYPE_CHECKING:
    from .agent import Agent

HANG_UP = "pytest_hydrasmoke.hang_up"
"""Name of the ASGI extension by which this project's server closes a request's connection."""

_KIND = b"text/event-stream; charset=utf-8"
_HEADERS = [(b"content-type", _KIND), (b"cache-control", b"no-cache")]
_BEGIN: Message = {"type": "http.response.start", "status": 200, "headers": _HEADERS}
_END: Message = {"type": "http.response.body", "body": b"", "more_body": False}

_PACE = 0.001
"""Seconds: long enough for a chunk to leave on its own, short enough for a thousand of them."""
_INTERVAL = 0.002
"""Seconds between two readings of a clock that is set by hand: nobody knows how long to wait."""
_LINGER = 2.0
"""Seconds for an agent after its last event, though its client has left: some remember then."""


class DroppedError(RuntimeError):
    """Raised to drop a connection under a server without the extension for it."""


async def hang_up(scope: Scope, receive: Receive, send: Send) -> None:
    """Close the connection as it is; an ASGI app that sends no response.

    Raises `DroppedError` under a server other than this project's.
    """
    close = scope.get("extensions", {}).get(HANG_UP)
    if close is None:
        raise DroppedError("the fake router drops this connection")
    close()
    # Returning earlier would leave the response incomplete, and the server would log that.
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


@asynccontextmanager
async def _while_connected(
    receive: Receive, lingers: Callable[[], float] = lambda: 0.0
) -> AsyncGenerator[None]:
    """End the `with` early if the client leaves, after as many seconds as it then `lingers`."""
    watch = anyio.CancelScope()
    async with anyio.create_task_group() as group:

        async def leave_with_client() -> None:
            with watch:
                await _gone(receive)
                await anyio.sleep(lingers())
                group.cancel_scope.cancel()

        group.start_soon(leave_with_client)
        yield
        watch.cancel()


def _body(chunk: bytes) -> Message:
    return {"type": "http.response.body", "body": chunk, "more_body": True}


class Pace:
    """A clock as seen by one stream: here by one that does not track streams."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._real = isinstance(clock, RealClock)

    def send(self, size: int) -> None:
        """Count bytes before they leave."""

    async def sleep_until(self, moment: float) -> None:
        """Sleep until a moment of the clock, which may be `inf`."""
        while (left := moment - self._clock.now()) > 0:  # noqa: ASYNC110 (time sets no event)
            await anyio.sleep(left if self._real or left == math.inf else min(left, _INTERVAL))

    def close(self) -> None:
        """Mark the stream as ended."""


def _pace_by(clock: Clock, peer: Sequence[object] | None) -> Pace:
    """Return a stream's pace by a clock; `peer` is an ASGI scope's client.

    A clock whose time passes once all its users wait has to know every stream, and the client's
    end of its connection, by which a client on the same clock finds it.
    """
    stream: Callable[[object], Pace] = getattr(clock, "_stream", lambda end: Pace(clock))
    return stream(None if peer is None else tuple(peer)[:2])


class EventStream:
    """An ASGI response: one chat turn as server-sent events."""

    def __init__(
        self, plan: Playlist, turn: AgentTurn, pause: float = 0.0, first_after: float = 0.0
    ) -> None:
        self._turn = turn
        self._plan = plan
        self._clock = turn.world.clock
        # Times count from the request: once its head is out, a client may move a clock by hand.
        self._began = self._clock.now()
        self._first_after = first_after
        self._pause = pause

    def instead(self, answer: ASGIApp) -> ASGIApp:
        """Return what answers in its place, once the agent has done its work."""
        self._turn.end()
        return answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        plan, pace = self._plan, _pace_by(self._clock, scope.get("client"))
        try:
            await send(_BEGIN)
            async with _while_connected(receive):
                await self._play(pace, send)
                if plan.leave == "stall":
                    await pace.sleep_until(math.inf)
                if plan.leave == "end":
                    await send(_END)
        finally:
            pace.close()
            if plan.over_anyway:
                self._turn.end()
            self._turn.over = True
        if plan.leave == "cut":
            await hang_up(scope, receive, send)

    async def _play(self, pace: Pace, send: Send) -> None:
        plan, due = self._plan, self._began + self._first_after
        for number, chunk in enumerate(plan.chunks):
            if number and plan.paced:
                await anyio.sleep(_PACE)
            elif number or due > self._began:
                # Yield to the loop at least once, or a flood would starve all other tasks.
                await anyio.lowlevel.checkpoint()
                if due > self._clock.now():
                    await pace.sleep_until(due)
            if number == plan.over:
                self._turn.end()
            pace.send(len(chunk))
            await send(_body(chunk))
            # From when it was due, not from when it could leave: a manual clock may jump.
            due += self._pause
        if plan.over is not None:
            self._turn.end()


class AgentStream:
    """An ASGI response: one chat turn of a real agent, as it comes.

    `answers`, if given, makes the response once the agent has said all that it says.
    """

    def __init__(
        self,
        agent: Agent,
        turn: AgentTurn,
        conversation: Conversation,
        message: str,
        answers: Callable[[bytes], ASGIApp] | None,
    ) -> None:
        self._agent = agent
        self._turn = turn
        self._conversation = conversation
        self._asked = {"role": "user", "content": message}
        self._answers = answers
        self._heard = Listener()

    def instead(self, answer: ASGIApp) -> ASGIApp:
        """Return what answers in its place, once the agent has done its work."""

        def done(body: bytes) -> ASGIApp:
            self._turn.end()
            return answer

        self._answers = done
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        then: ASGIApp | None = None
        try:
            async with _while_connected(receive, lambda: _LINGER if self._heard.over else 0.0):
                then = await self._answer(send)
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
                    await send(_BEGIN)
                async for chunk in chunks:
                    self._heard.feed(chunk)
                    if self._answers is not None:
                        body += chunk
                        continue
                    if self._heard.over:
                        self._end()  # Before the client can know.
                    await send(_body(chunk))
        except AgentError as problem:
            self._end()
            return hang_up if begun else JSONResponse({"detail": str(problem)}, 502)
        if self._answers is not None:
            self._note()
            return self._answers(body)
        await send(_END)
        return None

    def _note(self) -> None:
        """Note the turn's LLM events, and what it adds to the conversation if it is whole."""
        heard = self._heard
        self._turn.providers = heard.providers
        if heard.whole and not self._turn.ended:
            said = {"role": "assistant", "content": heard.said}
            self._conversation.messages += [self._asked, said] if heard.said else []

    def _end(self) -> None:
        self._note()
        self._turn.end()
