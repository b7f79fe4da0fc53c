"""What an event says beside text; runtimes tell it in pieces, and `content` puts them together."""

from __future__ import annotations

from typing import NamedTuple

Key = str | int
"""What a runtime joins the pieces of a tool call by: an index, an id, or a tool's name."""


class Reasoning(NamedTuple):
    """A piece of what the model thought."""

    text: str
    repeats: bool = False
    """Whether it may be nothing but some of the reply, told once more."""


class ToolCalled(NamedTuple):
    """A tool call, at its beginning or as a whole."""

    key: Key
    name: str | None = None
    id: str | None = None
    arguments: object = None
    """The whole of them, where they come as one: an object, or its JSON."""
    new: bool = False
    """Whether it is another call than the one before it of the same key."""


class ToolArguments(NamedTuple):
    """A piece of the JSON of a call's arguments."""

    key: Key
    piece: str


class ToolResult(NamedTuple):
    """What a tool gave back, whatever it is."""

    key: Key
    result: object


class Tokens(NamedTuple):
    """How many tokens the turn took by now; None where that is not told."""

    read: object = None
    written: object = None
    new: bool = False
    """Whether it begins the count of another call of the model, beside those before it."""


Part = Reasoning | ToolCalled | ToolArguments | ToolResult | Tokens
