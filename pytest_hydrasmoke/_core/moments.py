"""What can happen to an instance, each with its point in time.

Thousands of them are kept, so they are plain and small; `_report` makes models of them.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from pytest_hydrasmoke._runtimes.content import Thought, TokenUsage

MOST = 2_000
"""How many of an instance's requests, chats and readings are kept."""
MOST_WORD = 200
"""How many characters are kept of a word of the router's: a status, a name."""
MOST_WORDS = 200
"""How many status words of an instance are kept."""
MOST_PROVIDERS = 20
"""How many names of providers are kept of one count."""
MOST_NOTES = 100
"""How many notes on an instance are kept."""
MOST_TEXT = 20_000
"""How many characters of a reply are kept, and how many of what was said beside it."""
MOST_OF_A_CALL = 2_000
"""How many characters are kept of a tool call's arguments, and of its result."""
MOST_CALLS = 200
"""How many tool calls of a turn are kept."""
MOST_ARRIVALS = 1_000
"""How many points in time at least are kept of a turn that has more events."""


@dataclass(frozen=True, slots=True)
class Doing:
    """A phase under way."""

    phase: str
    since: float
    deadline: float | None


@dataclass(frozen=True, slots=True)
class Span:
    """A phase, each time that it was gone through; seconds."""

    phase: str
    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request: answered with a status code, or failed with an error; seconds to the answer."""

    call: str
    method: str
    path: str
    attempt: int
    at: float
    seconds: float
    status: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class UsageCount:
    """The LLM events of the instance's whole life, when their count had changed."""

    at: float
    count: int
    providers: tuple[str, ...]


@dataclass(slots=True, eq=False)
class Failure:
    """What went wrong, in a phase or in a test; one that made no test fail was expected."""

    at: float
    message: str
    brief: str
    """The same text without words of a chat."""
    phase: str | None = None
    test: str | None = None
    """The test that failed because of it."""
    cured: bool = False
    """Whether that test passed when it was run again."""


@dataclass(slots=True)
class ToolStory:
    """A tool call, cut to limits: arguments and result as JSON, a string as it is."""

    name: str
    id: str | None
    arguments: str | None
    result: str | None
    at: float
    position: int


@dataclass(slots=True)
class TurnStory:
    """A chat turn: what was said, and when its events arrived, in seconds since `at`."""

    message: str
    at: float
    test: str | None = None
    """The test that was running when it began."""
    run: int | None = None
    """The number of that test's run, from 1, where its body runs several times."""
    text: str = ""
    events: int = 0
    arrivals: array[float] = field(default_factory=lambda: array("d"))
    """When events arrived: all of them, or every n-th of a long stream."""
    first_text_after: float | None = None
    max_gap: float = 0.0
    complete: bool = False
    finish_reason: str | None = None
    tool_calls: list[ToolStory] = field(default_factory=list[ToolStory])
    thoughts: list[Thought] = field(default_factory=list[Thought])
    usage: TokenUsage | None = None
    notes: list[str] = field(default_factory=list[str])
    """Notes on what is unusual."""
    seconds: float | None = None
    error: str | None = None
    _every: int = 1

    def saw(self, at: float, text: str) -> None:
        """Record an event."""
        if self.events % self._every == 0:
            self.arrivals.append(at)
        self.events += 1
        if len(self.text) < MOST_TEXT:
            self.text = (self.text + text)[:MOST_TEXT]
        if len(self.arrivals) == 2 * MOST_ARRIVALS:
            del self.arrivals[1::2]
            self._every *= 2
