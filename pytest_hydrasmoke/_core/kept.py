"""A turn of which all is kept, and how much memory it may take: what it said, and in which words.

What was streamed is kept as bytes: its events were handed out, and are read again when asked for.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from pytest_hydrasmoke._base.text import first_few, safe_line
from pytest_hydrasmoke._journal.events import MOST_PROVIDERS
from pytest_hydrasmoke._runtimes.content import Content, ToolCall
from pytest_hydrasmoke._runtimes.read import type_of
from pytest_hydrasmoke._sse.decoder import ChatEvent

HELD = 32 << 20
"""Bytes of memory, by estimate, that a turn which is kept whole may take.

The stream's own limits do not bound memory: a small event takes ten times its bytes there, and a
text four times as much for a single emoji.
"""
STREAMED = 1 << 20
"""Bytes that are kept of a turn that is streamed: of its stream, and of its tools and reasoning."""
LAST_WORDS = 80
"""Characters of a reply that a failure repeats."""

Message = dict[str, object]
"""One of a conversation, in the form of OpenAI's chat API."""


def held_by(event: ChatEvent, before: ChatEvent | None) -> int:
    """Estimate the bytes that an event takes; what it shares with the one before counts once."""
    held = sys.getsizeof(event) + sys.getsizeof(event.data)
    if before is None or event.event is not before.event:
        held += sys.getsizeof(event.event)
    if before is None or event.id is not before.id:
        held += sys.getsizeof(event.id)
    return held if event.retry is None else held + sys.getsizeof(event.retry)


class Kept:
    """A turn's events with their texts and other content (`content`), up to `HELD`."""

    def __init__(self, content: Content) -> None:
        self.events: list[ChatEvent] = []
        self.content = content
        self._held = self._length = 0
        self._ascii = True

    def add(self, event: ChatEvent) -> bool:
        """Keep an event and its text; return false if there is no room."""
        text = event.text
        self._held += held_by(event, self.events[-1] if self.events else None)
        if text:
            if text is not event.data:
                self._held += sys.getsizeof(text)
            self._length += len(text)
            self._ascii = self._ascii and text.isascii()
        # The whole text is one more copy, as wide throughout as its widest character.
        held = self._held + self.content.held
        if held + self._length * (1 if self._ascii else 4) > HELD:
            return False
        self.events.append(event)
        return True

    @property
    def text(self) -> str:
        """The whole reply."""
        return "".join([event.text for event in self.events])

    def no_text(self) -> str | None:
        """Return which types of events came if none of them has text, for people; else None."""
        if not self.events or any(event.text.strip() for event in self.events):
            return None
        types = Counter(safe_line(type_of(event), 40) for event in self.events)
        named = first_few([f"{name} x{count}" for name, count in types.most_common()])
        return f"none with text: {named}; see docs/write/runtimes.md"

    def did(self, *, complete: bool, left: bool = False) -> str:
        """Return what may have caused LLM events, in words: its tools and its tokens.

        Of a reply that is not `complete`, and may have been cut, its last words come first.
        """
        calls, usage = self.content.tool_calls, self.content.usage
        names = [safe_line(name) for name in dict.fromkeys(call.name for call in calls)]
        tools = f"called {first_few(names, MOST_PROVIDERS) or 'no tool'}"
        if not complete:
            last = safe_line(repr(self.text[-LAST_WORDS:]))
            how = "was left" if left else "ended without a terminal event"
            tools = f"{how} after {last}, {tools}"
        if usage is None:
            return f"{tools}, and reported no tokens"
        return f"{tools}, and took {usage.input_tokens} + {usage.output_tokens} tokens"


class KeptBytes:
    """The chunks of a stream, each with its seconds since the request; by default none."""

    def __init__(self) -> None:
        self.chunks: list[tuple[float, bytes]] = []
        self.room = 0.0
        """How many more bytes are kept; below 0 where more came."""

    def add(self, at: float, chunk: bytes) -> None:
        """Keep a chunk, or nothing at all once there are too many."""
        self.room -= len(chunk)
        if self.room < 0:
            self.chunks.clear()
        else:
            self.chunks.append((at, chunk))


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
