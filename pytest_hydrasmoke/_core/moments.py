"""What is under way on an instance: a phase, or a chat turn that grows with its events."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from pytest_hydrasmoke._journal.events import (
    MOST_ARRIVALS,
    MOST_TEXT,
    Thought,
    Tokens,
    Tool,
    Turn,
)

from .pauses import Pace


@dataclass(frozen=True, slots=True)
class Doing:
    """A phase under way."""

    phase: str
    since: float
    deadline: float | None


@dataclass(slots=True)
class TurnStory:
    """A chat turn: what was said, and when its events arrived, in seconds since `at`."""

    number: int
    message: str
    at: float
    test: str | None = None
    """The test that was running when it began."""
    run: int | None = None
    """The number of that test's run, from 1, where its body runs several times."""
    taken: bool = False
    """Whether its message was accepted."""
    text: str = ""
    events: int = 0
    arrivals: array[float] = field(default_factory=lambda: array("d"))
    """When events arrived: all of them, or every n-th of a long stream."""
    first_text_after: float | None = None
    max_gap: float = 0.0
    complete: bool = False
    finish_reason: str | None = None
    tool_calls: list[Tool] = field(default_factory=list[Tool])
    thoughts: list[Thought] = field(default_factory=list[Thought])
    usage: Tokens | None = None
    notes: list[str] = field(default_factory=list[str])
    """Notes on what is unusual."""
    seconds: float | None = None
    error: str | None = None
    pace: Pace | None = None
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

    @property
    def as_event(self) -> Turn:
        """What is written of it."""
        return Turn(
            self.number,
            self.message,
            self.test,
            self.run,
            self.taken,
            self.text,
            self.events,
            tuple(self.arrivals),
            self.seconds,
            self.first_text_after,
            self.max_gap,
            self.complete,
            self.finish_reason,
            tuple(self.tool_calls),
            tuple(self.thoughts),
            self.usage,
            tuple(self.notes),
            self.error,
            self.pace,
        )
