"""A turn as the messages of a conversation, in the form of OpenAI's chat API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby

from pytest_hydrasmoke._runtimes.content import ToolCall

Message = dict[str, object]


def messages_of(
    message: str, text: str, placed_calls: Sequence[tuple[ToolCall, int]]
) -> list[Message]:
    """Return the user's message, and the agent's: what it said, its calls and their results.

    A call whose id was not reported gets one: `call_1` for the first of the turn.
    """
    found: list[Message] = [{"role": "user", "content": message}]
    said = 0
    numbered = enumerate(placed_calls, 1)
    for position, group in groupby(numbered, key=lambda it: it[1][1]):
        calls = [(call, call.id or f"call_{number}") for number, (call, _) in group]
        content = text[said:position] or None
        made = [_call(call, call_id) for call, call_id in calls]
        found.append({"role": "assistant", "content": content, "tool_calls": made})
        found += _results(calls)
        said = position
    if text[said:] or not placed_calls:
        found.append({"role": "assistant", "content": text[said:]})
    return found


def _call(call: ToolCall, call_id: str) -> Message:
    arguments = json.dumps(dict(call.arguments or {}), ensure_ascii=False)
    function = {"name": call.name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def _results(calls: Sequence[tuple[ToolCall, str]]) -> Iterator[Message]:
    """Yield a message for each call: the API wants one, also where no result was reported."""
    for call, call_id in calls:
        result = "" if call.result is None else call.result
        content = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
        yield {"role": "tool", "tool_call_id": call_id, "content": content}
