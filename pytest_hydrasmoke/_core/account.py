"""A turn's account of LLM events, as plain data: the counts that bound it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from pytest_hydrasmoke._api.models import Rows
from pytest_hydrasmoke._journal.chat import TurnOver


class Doubt(NamedTuple):
    """Why events may be another turn's, and what to do about it."""

    why: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Count:
    """The LLM events of an instance's whole life at a moment, or why they could not be counted."""

    at: float
    count: int = 0
    providers: frozenset[str] = frozenset()
    error: str | None = None
    doubt: Doubt | None = None
    """Why it may not do as the count before a turn."""
    number: int = 0
    """The number of the turn before which it was made, among all turns on the instance."""
    waited: float = math.inf
    """Seconds since the end of the turn before, if its rows may still come."""
    earlier: str = ""
    """The test of that turn."""

    @property
    def rows(self) -> Rows:
        return Rows(self.count, self.providers)


UNCOUNTED = Count(0.0, error="nothing counts the LLM events of a client's own chats")


@dataclass(slots=True, eq=False)
class TurnAccount:
    """What bounds a turn's LLM events: the counts before it, and before the turn after it."""

    before: Count
    after: Count | None = None
    found: Count | None = None
    """The last count before the next turn; None where nothing counted this turn's own events."""
    recorded: bool = False
    """Whether the turn is recorded, with its LLM events if they are counted."""
    over: TurnOver | None = None
    """How the turn ended; None while it is under way."""
    uncounted: str | None = None
    """Why a replay can't know its LLM events; None where it does."""

    @property
    def is_sure(self) -> bool:
        """Whether the counts around the turn bound its own events, all of them and no others."""
        before, after = self.before, self.after
        if after is None or after.number != before.number + 1:
            return False
        return all(it.error is None and it.doubt is None for it in (before, after))

    @property
    def left(self) -> bool:
        """Whether its reader left it before its end: its agent may count nothing."""
        return self.over is not None and self.over.how == "left"

    @property
    def unended(self) -> bool:
        """Whether its stream ended without a terminal event: its reply may have been cut."""
        return self.over is not None and self.over.how == "ended" and not self.over.end_seen

    def saw(self, count: Count) -> None:
        """Keep a count, unless the last one was the same: that came first."""
        if self.found is None or self.found.rows != count.rows:
            self.found = count
