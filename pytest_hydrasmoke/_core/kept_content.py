"""The part of a turn's tools and reasoning that its story keeps: texts, up to a limit."""

from __future__ import annotations

import json

from pytest_hydrasmoke._journal.events import (
    MOST_CALLS,
    MOST_OF_A_CALL,
    MOST_TEXT,
    Thought,
    Tokens,
    Tool,
)
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._runtimes.values import whole

from .moments import TurnStory


def keep_content(story: TurnStory, content: Content) -> None:
    """Copy a turn's tool calls, reasoning and tokens into its story."""
    _keep_calls(story, content)
    room = MOST_TEXT
    for thought in content.thoughts(story.text):
        if room > 0 and len(story.thoughts) < MOST_CALLS:
            story.thoughts.append(Thought(thought.text[:room], thought.at, thought.position))
            room -= len(thought.text)
    if (usage := content.usage) is not None:
        story.usage = Tokens(usage.input_tokens, usage.output_tokens)
    story.notes += content.notes


def _keep_calls(story: TurnStory, content: Content) -> None:
    room = MOST_TEXT
    for call, position in content.placed_calls[:MOST_CALLS]:
        most = min(room, MOST_OF_A_CALL)
        arguments, result = _shown(call.arguments, most), _shown(call.result, most)
        room = max(room - len(arguments or "") - len(result or ""), 0)
        kept = Tool(call.name, call.id, arguments, result, call.at, position)
        story.tool_calls.append(kept)
    more = len(content.placed_calls) - MOST_CALLS
    if more > 0:
        story.notes.append(f"{more} more tool calls are not kept")


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
