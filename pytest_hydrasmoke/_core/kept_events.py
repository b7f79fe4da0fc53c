"""The events of a turn that is kept whole, and how much memory they may take."""

from __future__ import annotations

import sys
from collections import Counter

from pytest_hydrasmoke._base.text import first_few, safe_line
from pytest_hydrasmoke._journal.events import MOST_PROVIDERS
from pytest_hydrasmoke._runtimes.content import Content
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
