"""What an agent says, as the input of every runtime, and the events that it becomes; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .records import Json

Fields = dict[str, Json]

MISHAP = "the agent has failed"
AGAIN = " again"
"""The text of an agent that never stops."""
_PIECE = re.compile(r"\s*\w+|\s*[^\w\s]+|\s+")


class Event(NamedTuple):
    data: str
    name: str | None = None
    comment: str | None = None
    """What follows it, such as a keep-alive."""


DONE = Event("[DONE]")


class Frames(NamedTuple):
    """One turn's events."""

    spoken: Sequence[Event]
    """All events to the last of the text, and one more of text, which says `AGAIN`."""
    closing: Sequence[Event]
    """The runtime's terminal events."""
    error: Sequence[Event]
    """The runtime's events of a failed agent."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool that the agent calls."""

    id: str
    name: str
    arguments: Mapping[str, Json]
    result: Json
    """None where no result is reported."""

    @property
    def written(self) -> str:
        """The arguments as models write them."""
        return as_json(self.arguments)

    @property
    def result_text(self) -> str:
        """The result as a string, for runtimes that send strings."""
        return self.result if isinstance(self.result, str) else as_json(self.result)


@dataclass(frozen=True, slots=True)
class Speech:
    """What the agent says in one turn; it thinks first, and calls its tools before it answers."""

    message: str
    """The user's message."""
    text: str
    tools: tuple[ToolUse, ...] = ()
    reasoning: str = ""

    @property
    def words(self) -> list[str]:
        """The text in pieces, and one more, for `Frames.spoken`."""
        return [*pieces(self.text), AGAIN]

    @property
    def tokens(self) -> tuple[int, int, int]:
        """The tokens read, written, and both together: a streamed piece is one."""
        texts = (self.reasoning, *(tool.written for tool in self.tools), self.text)
        read, written = len(pieces(self.message)), sum(len(pieces(text)) for text in texts)
        return read, written, read + written

    def usage(self, *names: str) -> Fields:
        """Return these tokens by the runtime's names for them."""
        return dict(zip(names, self.tokens, strict=False))


def pieces(text: str) -> list[str]:
    """Split a text as models stream it: words, each with the space before it."""
    return _PIECE.findall(text)


def as_json(value: Json) -> str:
    """Return JSON with non-ASCII characters as they are: readers have to handle UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def of_type(kind: str, **fields: Json) -> Event:
    """Return an event with an object of this `type`."""
    return Event(as_json({"type": kind, **fields}))


def deltas(
    kind: str, words: Iterable[str], key: str = "delta", /, **fields: Json
) -> Iterable[Event]:
    """Return such an event for each piece of a text."""
    return (of_type(kind, **fields, **{key: piece}) for piece in words)


def named(kind: str, **fields: Json) -> Event:
    """Return an event with the `type` as its name too."""
    return of_type(kind, **fields)._replace(name=kind)
