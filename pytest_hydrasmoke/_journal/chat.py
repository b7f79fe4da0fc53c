"""What can happen in a chat with an instance: events like those of `events`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple, TypeAlias

MOST_TEXT = 20_000
"""How many characters of a reply are kept, and how many of what was said beside it."""
MOST_OF_A_CALL = 2_000
"""How many characters are kept of a tool call's arguments, and of its result."""
MOST_CALLS = 200
"""How many tool calls of a turn are kept."""
MOST_MODELS = 20
"""How many models of a turn are kept, and of an instance."""
MOST_ARRIVALS = 1_000
"""How many points in time at least are kept of a turn that has more events."""
WORDS = "words of an agent or a test"
"""Marks a field of an event that has such words: a journal may have to leave them out."""
Said: TypeAlias = Annotated[str | None, WORDS]
"""A text with such words."""


class TurnBegan(NamedTuple):
    """A chat turn begins, before its message leaves."""

    number: int
    """The turn's, of this process and instance, from 1."""
    message: Said
    """It is not told to other processes."""
    test: str | None = None
    run: int | None = None
    before: int | None = None
    """The LLM events counted before it; None if nothing was."""
    sure: bool = False
    """Whether these include all events of earlier turns."""
    by: str = ""
    """The process that takes it."""
    spec: str = ""
    """What names the instance's spec."""


class TurnOver(NamedTuple):
    """The last chat turn on an instance is over; told to the run's other processes."""

    number: int
    """The turn's, of all processes, from 1."""
    how: str
    """It `ended`, was `left` by its reader, `failed`, was `refused`, so that there was none, or
    `cut`: its process has died."""
    end_seen: bool = False
    """Whether its stream had a terminal event."""
    known: bool = True
    """Whether it can be known what LLM events it has: a replay may not know."""
    late: bool = False
    """Whether its end was seen late: it may have come any time before."""


class ToldCall(NamedTuple):
    """A tool call, cut to limits: arguments and result as JSON, a string as it is."""

    name: str
    id: str | None
    arguments: str | None
    result: str | None
    at: float
    position: int


class Thought(NamedTuple):
    """A piece of the model's reasoning."""

    text: str
    at: float
    position: int


class Tokens(NamedTuple):
    """Tokens that models read and wrote."""

    input_tokens: int = 0
    output_tokens: int = 0


class Turn(NamedTuple):
    """A chat turn, at its end; the entry's `at` is when its request was sent."""

    number: int
    message: Said
    test: str | None = None
    run: int | None = None
    taken: bool = False
    """Whether its message was accepted."""
    text: Said = ""
    events: int = 0
    arrivals: Sequence[float] = ()
    seconds: float | None = None
    first_text_after: float | None = None
    max_gap: float = 0.0
    complete: bool = False
    finish_reason: Said = None
    tool_calls: Annotated[Sequence[ToldCall], WORDS] = ()
    thoughts: Annotated[Sequence[Thought], WORDS] = ()
    usage: Tokens | None = None
    models: Sequence[str] = ()
    """Those that answered, as its runtime names them."""
    notes: Annotated[Sequence[str], WORDS] = ()
    error: Said = None
    pace: str | None = None
    """How its stream came, `streamed` or `at once`, where that could be told."""


class Counted(NamedTuple):
    """The LLM events of the instance's whole life: where that has changed; each, for others."""

    total: int
    providers: Sequence[str] = ()
    asked: float | None = None
    """When the count was asked for; for the run's other processes."""
    met: bool = False
    """Whether the last turn has left exactly as many as its test expects."""
