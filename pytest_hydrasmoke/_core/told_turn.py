"""What is told of a chat turn: its event in the journal, with texts up to a limit, and notes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_hydrasmoke._journal.chat import (
    MOST_CALLS,
    MOST_OF_A_CALL,
    MOST_TEXT,
    Thought,
    Tokens,
    Tool,
    Turn,
)
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._runtimes.values import goes_on, is_cut_short, whole

from .signs import pace
from .turn_end import UNENDED

if TYPE_CHECKING:
    from .chat import OpenTurn


def so_far(turn: OpenTurn) -> Turn:
    """Return what is known of a turn under way."""
    came = turn.came
    return Turn(
        turn.number,
        turn.message,
        turn.test,
        turn.run,
        turn.taken,
        came.text[:MOST_TEXT],
        came.events,
        tuple(came.arrivals),
        error=turn.error,
    )


def told(turn: OpenTurn, content: Content) -> Turn:
    """Return what is known of a turn that is over."""
    came = turn.came
    event = so_far(turn)._replace(
        complete=came.end.complete,
        finish_reason=came.end.finish_reason,
        first_text_after=came.first_text_after,
        max_gap=came.max_gap,
        models=tuple(came.models),
    )
    event = with_content(event, content)
    if came.first_event_after is not None:
        spread = came.duration - came.first_event_after
        how = pace(came.with_text, turn.awaited, spread)
        event = event._replace(seconds=came.duration, pace=how)
    if len(came.end.runtimes) > 1:
        runtimes = f"its frames are of {', then '.join(came.end.runtimes)}"
        event = event._replace(notes=(*event.notes, runtimes))
    return event


def remarks(turn: Turn, *, unended: bool) -> Iterator[tuple[str, str]]:
    """Yield notes on what is odd about a turn, each with its version without an agent's words."""
    reason = turn.finish_reason
    if unended:
        yield UNENDED, ""
    if reason is not None and is_cut_short(reason):
        brief = "a reply was cut short"
        yield f"{brief}: it finished with {reason!r}", brief
    if turn.complete and goes_on(reason):
        brief = "a chat ended as its model waited for its tools"
        yield f"{brief}: it finished with {reason!r}", brief
    for note in turn.notes:
        yield f"in a chat, {note}", "a chat had content that could not be read"


def with_content(turn: Turn, content: Content) -> Turn:
    """Add the tool calls, the reasoning and the tokens of a turn that is over."""
    calls, usage = tuple(_calls(content)), content.usage
    more = len(content.placed_calls) - MOST_CALLS
    notes = [f"{more} more tool calls are not kept"] if more > 0 else []
    return turn._replace(
        tool_calls=calls,
        thoughts=tuple(_thoughts(content, turn.text or "")),
        usage=None if usage is None else Tokens(usage.input_tokens, usage.output_tokens),
        notes=(*notes, *content.notes),
    )


def _thoughts(content: Content, text: str) -> Iterator[Thought]:
    room = MOST_TEXT
    for number, thought in enumerate(content.thoughts(text)):
        if room <= 0 or number == MOST_CALLS:
            return
        yield Thought(thought.text[:room], thought.at, thought.position)
        room -= len(thought.text)


def _calls(content: Content) -> Iterator[Tool]:
    room = MOST_TEXT
    for call, position in content.placed_calls[:MOST_CALLS]:
        most = min(room, MOST_OF_A_CALL)
        arguments, result = _shown(call.arguments, most), _shown(call.result, most)
        room = max(room - len(arguments or "") - len(result or ""), 0)
        yield Tool(call.name, call.id, arguments, result, call.at, position)


def _shown(value: object, most: int) -> str | None:
    """Return a value as JSON, or a string as it is, cut to `most` characters."""
    if value is None:
        return None
    text = value if isinstance(value, str) else _json(value)
    return whole(text[:most])


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "(nested too deeply to be shown)"
