"""A chat turn as the bytes of server-sent events, and what a client gets of them; pure.

A turn whose stream is broken never reaches its end, and so leaves no LLM events, unless it was
recorded with some.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, pairwise, repeat
from typing import Literal, TypeAlias

from . import frames
from . import frames_of_openai as openai
from .faults import Break
from .frames import Event, Frames
from .recordings import End
from .replies import Speech
from .scenario import Runtime, Scenario

Leave: TypeAlias = Literal["end", "cut", "stall"]

_FRAMES: Mapping[Runtime, Callable[[Speech], Frames]] = {
    "openai": openai.chat,
    "hermes": openai.hermes,
    "hermes-run": openai.hermes_run,
    "hermes-session": openai.hermes_session,
    "responses": openai.responses,
    "anthropic": frames.anthropic,
    "goose": frames.goose,
    "ag-ui": frames.ag_ui,
    "ai-sdk": frames.ai_sdk,
    "objects": frames.objects,
    "named": frames.named_events,
    "text": frames.text,
}
_LINE = re.compile(r"\r\n|\r|\n")
_GARBAGE = b"\xff\xfe\x00<html>\x80 this is no event stream \xc3\x28\n\r\x00"
_EVENT = re.compile(rb"(?s).+?(?:(?>\r\n|\r|\n){2}|\Z)")
# What came after a reader left is not known: whoever reads on must not take it for the end.
_LEAVES: Mapping[End, Leave] = {"closed": "end", "left": "cut", "cut": "cut", "stalled": "stall"}


@dataclass(frozen=True, slots=True)
class TurnBytes:
    """One turn's events, each with the comments around it and the blank line after it."""

    spoken: tuple[bytes, ...]
    """All events to the last of the text."""
    closing: tuple[bytes, ...]
    """The runtime's terminal events; empty where the scenario has none."""
    error: bytes
    """The runtime's events of a failed agent."""
    more: bytes
    """One more event of text, for an agent that never stops."""

    def instead(self, body: bytes) -> TurnBytes:
        """Return another turn's events, with those of this one's runtime for a break."""
        return replace(self, spoken=tuple(_EVENT.findall(body)), closing=())


def encode(scenario: Scenario, said: Speech) -> TurnBytes:
    """Encode what the agent says in the events of the scenario's runtime."""
    made = _FRAMES[scenario.runtime](said)

    def wire(event: Event) -> bytes:
        lines = [": keep-alive", ""] if scenario.keep_alive else []
        lines += [f"event: {event.name}"] if event.name else []
        lines += [f"data: {line}" for line in _LINE.split(event.data)]
        lines += ["", f": {event.comment}"] if event.comment else []
        return "".join(f"{line}\n" for line in [*lines, ""]).encode()

    *spoken, more = map(wire, made.spoken)
    closing = tuple(map(wire, made.closing)) if scenario.terminal else ()
    return TurnBytes(tuple(spoken), closing, b"".join(map(wire, made.error)), more)


@dataclass(frozen=True, slots=True)
class Playlist:
    """What to send, and how to end."""

    chunks: Iterable[bytes]
    over: float | None
    """How many of them are sent before the turn ends, `inf` for all; None if it never does."""
    leave: Leave = "end"
    paced: bool = False
    """Whether the chunks are sent a moment apart, ignoring the scenario's pause."""
    over_anyway: bool = False
    """Whether the turn ends even if its client leaves before."""


def plan(turn: TurnBytes, broken: Break | None) -> Playlist:
    """Decide what a client receives of a turn."""
    events, spoken = (*turn.spoken, *turn.closing), len(turn.spoken)
    if broken is None:
        return Playlist(events, spoken)
    first = events[: broken.after_events]
    if broken.kind == "trickle":
        whole = [*accumulate(map(len, first))]
        return _pieces(turn, [*whole, *range(sum(map(len, first)) + 1, len(b"".join(events)))])
    if broken.kind == "split":
        return _pieces(turn, broken.split_at or _awkward(b"".join(events)))
    more: Iterable[bytes] = ()
    leave: Leave = "end"
    if broken.kind == "flood":
        more = repeat(turn.more)
    elif broken.kind == "error":
        more = (turn.error,)
    elif broken.kind == "garbage":
        more = (_GARBAGE,)
    else:
        leave = broken.kind
        if len(first) > spoken:
            return Playlist(first, spoken, leave)
    # At the break the agent is done, or it never gets there.
    return Playlist(chain(first, more), len(first) if broken.when == "after" else None, leave)


def plan_recorded(chunks: Sequence[bytes], end: End, *, counted: bool) -> Playlist:
    """Decide the same of a recorded turn, of which LLM events may have been `counted`."""
    leave = _LEAVES[end]
    over = math.inf if counted or leave == "end" else None
    return Playlist(chunks, over, leave, over_anyway=counted)


def _pieces(turn: TurnBytes, cuts: Sequence[int]) -> Playlist:
    """Cut a whole turn at these offsets."""
    body = b"".join((*turn.spoken, *turn.closing))
    bounds = [0, *(at for at in cuts if at < len(body)), len(body)]
    spoken = sum(map(len, turn.spoken))
    # The turn ends before the first chunk that reaches beyond the reply.
    over = sum(end <= spoken for end in bounds[1:])
    return Playlist([body[start:end] for start, end in pairwise(bounds)], over, paced=True)


def _awkward(body: bytes) -> list[int]:
    """Return the offsets at which a careless reader fails: in characters, line ends and words."""
    return [match.end() for match in re.finditer(rb"[\xc0-\xff]|\r(?=\n)|data|\n(?=\n)", body)]
