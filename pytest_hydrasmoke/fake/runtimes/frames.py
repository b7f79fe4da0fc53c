"""What an agent says, and what every runtime's module makes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pytest_hydrasmoke.fake.records import Json

MISHAP = "the agent has failed"
AGAIN = " again"
"""What an agent says that never stops."""
_PIECE = re.compile(r"\s*\w+|\s*[^\w\s]+|\s+")


class Event(NamedTuple):
    """A server-sent event."""

    data: str
    name: str | None = None
    comment: str | None = None
    """What comes after it, such as a keep-alive."""


class Frames(NamedTuple):
    """One turn's events."""

    spoken: Iterable[Event]
    """Up to the last of the text."""
    closing: Iterable[Event]
    """The runtime's way to say that the turn is over."""
    error: Iterable[Event]
    """The runtime's way to say that the agent has failed."""
    more: Event
    """One more event of text."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool that the agent calls."""

    id: str
    name: str
    arguments: Mapping[str, Json]
    result: Json
    """None where nothing is told of it."""

    @property
    def arguments_json(self) -> str:
        """The arguments as models write them."""
        return as_json(self.arguments)

    @property
    def result_text(self) -> str:
        """The result for runtimes whose results are texts."""
        return self.result if isinstance(self.result, str) else as_json(self.result)


@dataclass(frozen=True, slots=True)
class Said:
    """What the agent says in one turn; it thinks first, and calls its tools before it answers."""

    message: str
    """What it was asked."""
    text: str
    tools: tuple[ToolUse, ...] = ()
    reasoning: str = ""

    @property
    def input_tokens(self) -> int:
        """A token is what comes in one piece: a fake has no tokenizer."""
        return len(pieces(self.message))

    @property
    def output_tokens(self) -> int:
        """Those of all that the model wrote."""
        written = (self.reasoning, *(tool.arguments_json for tool in self.tools), self.text)
        return sum(len(pieces(text)) for text in written)


def pieces(text: str) -> list[str]:
    """Cut a text as models send it: words, each with the space before it."""
    return _PIECE.findall(text)


def as_json(value: Json) -> str:
    """Write JSON, with characters as they are: readers have to cope with the bytes of UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def of_type(kind: str, **fields: Json) -> Event:
    """Make an event of an object whose `type` says what it is."""
    return Event(as_json({"type": kind, **fields}))


def named(kind: str, **fields: Json) -> Event:
    """Make an event that has its object's `type` as its name too."""
    return of_type(kind, **fields)._replace(name=kind)


DONE = Event("[DONE]")
