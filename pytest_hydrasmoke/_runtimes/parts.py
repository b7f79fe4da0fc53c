"""An event's content beside text; runtimes send it in pieces, and `content` combines them."""

from __future__ import annotations

from typing import NamedTuple

Key = str | int
"""What joins the pieces of a tool call: an index, an id, or a tool's name."""


class Reasoning(NamedTuple):
    """A piece of the model's reasoning."""

    text: str
    repeats: bool = False
    """Whether it may only repeat some of the reply."""


class ToolCalled(NamedTuple):
    """A tool call, at its beginning or as a whole."""

    key: Key
    name: str | None = None
    id: str | None = None
    arguments: object = None
    """All arguments, where they come as one: an object, or its JSON."""
    new: bool = False
    """Whether it is another call than the one before it with the same key."""


class ToolArguments(NamedTuple):
    """A piece of the JSON of a call's arguments."""

    key: Key
    piece: str


class ToolResult(NamedTuple):
    """A tool's result, of any type."""

    key: Key
    result: object


class Tokens(NamedTuple):
    """Tokens of the turn so far; None where not reported."""

    read: object = None
    written: object = None
    new: bool = False
    """Whether it begins the count of another model call, to be added to those before it."""


Part = Reasoning | ToolCalled | ToolArguments | ToolResult | Tokens
