"""Stream a chat turn over a connection, whole or broken.

`plan` and `plan_recorded` decide; `EventStream` acts. A turn whose stream is broken never reaches
its end, and so leaves no LLM events, unless it was recorded with some.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import anyio
import anyio.lowlevel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .clock import Clock, Pace, pace_by
from .faults import Break
from .recordings import End
from .sse_events import Turn
from .state import OpenTurn

HANG_UP = "pytest_hydrasmoke.hang_up"
"""Name of the ASGI extension by which this project's server closes a request's connection."""

_KIND = b"text/event-stream; charset=utf-8"
_HEADERS = [(b"content-type", _KIND), (b"cache-control", b"no-cache")]
BEGIN: Message = {"type": "http.response.start", "status": 200, "headers": _HEADERS}

Leave: TypeAlias = Literal["end", "cut", "stall"]

_GARBAGE = b"\xff\xfe\x00<html>\x80 this is no event stream \xc3\x28\n\r\x00"
_EVENT = re.compile(rb"(?s).+?(?:(?>\r\n|\r|\n){2}|\Z)")
_LEAVES: Mapping[End, Leave] = {"closed": "end", "left": "end", "cut": "cut", "stalled": "stall"}
# Long enough for a chunk to leave on its own, short enough for a thousand of them.
_PACE = 0.001


class DroppedError(RuntimeError):
    """Raised to drop a connection under a server without the extension for it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send, and how to end."""

    spoken: Iterable[bytes]
    closing: Iterable[bytes] | None
    """What comes once the turn has ended; None if it never does."""
    leave: Leave = "end"
    paced: bool = False
    """Whether the chunks are sent a moment apart, ignoring the scenario's pause."""
    over_anyway: bool = False
    """Whether the turn ends even if its client leaves before."""


def plan(turn: Turn, broken: Break | None) -> Plan:
    """Decide what a client receives of a turn."""
    if broken is None:
        return Plan(turn.spoken, turn.closing)
    spoken, events = len(turn.spoken), (*turn.spoken, *turn.closing)
    first = events[: broken.after_events]
    if broken.kind == "trickle":
        rest = b"".join(events[broken.after_events :])
        chunks = (*first, *(rest[i : i + 1] for i in range(len(rest))))
        whole = min(spoken, len(first))
        over = whole + len(b"".join(turn.spoken[whole:]))
        return Plan(chunks[:over], chunks[over:], paced=True)
    if broken.kind == "split":
        return _split(turn, broken.split_at)
    more: Iterable[bytes] = ()
    leave: Leave = "end"
    if broken.kind == "flood":
        more = itertools.repeat(turn.more)
    elif broken.kind == "error":
        more = (turn.error,)
    elif broken.kind == "garbage":
        more = (_GARBAGE,)
    else:
        leave = broken.kind
        if len(first) > spoken:
            return Plan(turn.spoken, first[spoken:], leave)
    # At the break the agent is done, or it never gets there.
    if broken.when == "after":
        return Plan(first, more, leave)
    return Plan(itertools.chain(first, more), None, leave)


def plan_recorded(
    chunks: Iterator[bytes],
    end: End,
    *,
    counted: bool,
    runtime: Turn,
    broken: Break | None,
) -> Plan:
    """Decide what a client receives of a recorded turn.

    `counted` says whether the turn's LLM events are known; `runtime` formats the events that a
    break needs.
    """
    if broken is not None:
        events = _EVENT.findall(b"".join(chunks))
        return plan(Turn(tuple(events), (), runtime.error, runtime.more), broken)
    leave = _LEAVES[end]
    closing = () if counted or leave == "end" else None
    return Plan(chunks, closing, leave, over_anyway=counted)


def _split(turn: Turn, split_at: Sequence[int] | None) -> Plan:
    body = b"".join((*turn.spoken, *turn.closing))
    cuts = [at for at in split_at or _awkward(body) if at < len(body)]
    bounds = [0, *cuts, len(body)]
    spoken = len(b"".join(turn.spoken))
    # The turn ends before the first chunk that reaches beyond the reply.
    over = sum(end <= spoken for end in bounds[1:])
    chunks = [body[start:end] for start, end in itertools.pairwise(bounds)]
    return Plan(chunks[:over], chunks[over:], paced=True)


def _awkward(body: bytes) -> list[int]:
    """Return the offsets at which a careless reader fails: in characters, line ends and words."""
    return [match.end() for match in re.finditer(rb"[\xc0-\xff]|\r(?=\n)|data|\n(?=\n)", body)]


class EventStream:
    """An ASGI response: one chat turn as server-sent events."""

    def __init__(
        self, plan: Plan, clock: Clock, turn: OpenTurn, pause: float = 0.0, first_after: float = 0.0
    ) -> None:
        self.turn = turn
        self._plan = plan
        self._clock = clock
        self._first_after = first_after
        # Times count from the request: once its head is out, a client may move a clock by hand.
        self._began = clock.now()
        self._pause = pause

    def instead(self, answer: ASGIApp) -> ASGIApp:
        """Return what answers in its place, once the agent has done its work."""
        self.turn.end()
        self.turn.over = True
        return answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pace = pace_by(self._clock, scope.get("client"))
        try:
            await send(BEGIN)
            await self._perform(pace, receive, send)
        finally:
            pace.close()
            if self._plan.over_anyway:
                self.turn.end()
            self.turn.over = True
        if self._plan.leave == "cut":
            await hang_up(scope, receive, send)

    async def _perform(self, pace: Pace, receive: Receive, send: Send) -> None:
        watch = anyio.CancelScope()
        async with anyio.create_task_group() as group:

            async def leave_with_client() -> None:
                with watch:
                    await gone(receive)
                    group.cancel_scope.cancel()

            group.start_soon(leave_with_client)
            await self._play(pace, send)
            if self._plan.leave == "stall":
                await pace.sleep_until(math.inf)
            if self._plan.leave == "end":
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            watch.cancel()

    async def _play(self, pace: Pace, send: Send) -> None:
        spoken = zip(self._plan.spoken, itertools.repeat(False))
        closing = zip(self._plan.closing or (), itertools.repeat(True))
        due = self._began + self._first_after
        for number, (chunk, over) in enumerate(itertools.chain(spoken, closing)):
            if number and self._plan.paced:
                await anyio.sleep(_PACE)
            elif number or due > self._began:
                # Yield to the loop at least once, or a flood would starve all other tasks.
                await anyio.lowlevel.checkpoint()
                if due > self._clock.now():
                    await pace.sleep_until(due)
            if over:
                self.turn.end()
            pace.send(len(chunk))
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            # From when it was due, not from when it could leave: a manual clock may jump.
            due += self._pause
        if self._plan.closing is not None:
            self.turn.end()


async def hang_up(scope: Scope, receive: Receive, send: Send) -> None:
    """Close the connection as it is; an ASGI app that sends no response.

    Raises `DroppedError` under a server other than this project's.
    """
    close = scope.get("extensions", {}).get(HANG_UP)
    if close is None:
        raise DroppedError("the fake router drops this connection")
    close()
    # Returning earlier would leave the response incomplete, and the server would log that.
    await gone(receive)


async def gone(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
