"""When the LLM events of an instance's last turn are all in; pure functions.

The agent pushes rows after their turn, and nothing in a row names the turn. So an account begins
only once the turn before is settled: its rows have come, and twice the `longest` time has passed
since its end. That is one number a run: the longest time after a turn's end at which any row was
seen. It is measured at each count, above all while the first turns are watched.

Points in time and durations are seconds of the IO's clock; counts go back to the instance's birth,
so that they only ever grow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

LEAST = 1.0
"""Seconds after a turn's end within which no turn is settled, however early its rows came."""
WATCHED = 2
"""How many turns of a spec are watched for as long as rows may come."""
ROWLESS = 3
"""Consecutive turns without rows after which there is no wait for more."""
USUAL = 5.0
"""Seconds after its end when any turn is settled, unless a setting says otherwise."""
FINEST = 0.02
"""Least seconds between two looks; later a share of the time since the turn's end."""
CLOSE = 0.1
"""Seconds between looks that date a row closely enough; later on half of its time."""

How = Literal["under way", "ended", "left", "failed", "cut"]


@dataclass(frozen=True, slots=True)
class LastTurn:
    """The last turn on an instance, as far as it is known."""

    test: str
    """The test that ran it; "" outside of any."""
    before: int
    """The LLM events counted before it."""
    count: int
    """The most that were counted since."""
    looked: float
    """When they were counted last."""
    by: str = ""
    """The process that ran it."""
    how: How = "under way"
    ended: float = math.inf
    rose: float = -math.inf
    """When the last new row of it was seen."""
    sure: bool = True
    """Whether `before` includes all events of earlier turns."""
    watch: Literal["", "whole", "rough"] = ""
    """Whether it was watched for as long as rows may come, or a row's time was seen too roughly."""

    @property
    def rows(self) -> int:
        """How many rows are known to be its own."""
        return self.count - self.before if self.sure else 0


@dataclass(frozen=True, slots=True)
class History:
    """The turns on one instance, and what was measured of them."""

    number: int = 0
    """Turns that have begun, of any process."""
    last: LastTurn | None = None
    rowless: int = 0
    """Turns before the last one, in a row, that left no row."""
    longest: float | None = None
    """The longest time after a turn's end at which a row was seen; None before any row."""
    watched: int = 0
    """Turns with rows that were watched for as long as rows may come."""
    end_seen: bool = False
    """Whether the stream of any turn had a terminal event."""
    since: float | None = None
    """When the run's first turn on it began, or was about to."""


class Measured(NamedTuple):
    """What applies to an instance: the run's longest time, and how often its spec was watched."""

    longest: float | None = None
    watched: int = 0

    @property
    def enough(self) -> bool:
        """Whether the number can be relied on."""
        return self.longest is not None and self.watched >= WATCHED


def measured(everywhere: Iterable[History], of_spec: Iterable[History]) -> Measured:
    """Combine the measurements on all instances of the run, and on those of a spec."""
    known = [history.longest for history in everywhere if history.longest is not None]
    return Measured(max(known, default=None), sum(history.watched for history in of_spec))


def begun(
    history: History, test: str, count: int | None, at: float, *, sure: bool, by: str = ""
) -> History:
    """Begin a turn, `by` a process; `count` is what was counted before, None if nothing was.

    `sure` if that includes all events of earlier turns.
    """
    last, rowless = history.last, history.rowless
    if count is not None and last is not None and last.sure:
        rowless = 0 if last.rows else rowless + 1
    if count is None:
        count, sure = 0 if last is None else last.count, False
    turn = LastTurn(test, count, count, at, by, sure=sure)
    return replace(history, number=history.number + 1, last=turn, rowless=rowless)


def over(history: History, how: How, at: float) -> History:
    """End the last turn; one that has ended already stays as it was."""
    last = history.last
    if last is None or last.how != "under way":
        return history
    return replace(history, last=replace(last, how=how, ended=at, looked=max(last.looked, at)))


def seen(
    history: History, asked: float, at: float, count: int, known: Measured, limit: float
) -> History:
    """Apply a `count` that was requested at `asked` and answered at `at`.

    Any turn is settled `limit` seconds after its end.
    """
    last = history.last
    if last is None:
        return history
    if count > last.count:
        history = _saw_row(replace(history, rowless=0), last, asked, at, known)
        assert history.last is not None
        last = replace(history.last, count=count, rose=at)
    last = replace(last, looked=at)
    if last.how == "ended" and last.rows and not last.watch and asked >= last.ended + limit:
        last = replace(last, watch="whole")
        history = replace(history, watched=history.watched + 1)
    return replace(history, last=last)


def _saw_row(history: History, last: LastTurn, asked: float, at: float, known: Measured) -> History:
    """Measure a row that came since the last look."""
    longest = known.longest or 0.0
    if last.how == "ended" and at - last.ended > longest:
        took, unseen, at_least = at - last.ended, asked - last.looked, last.looked - last.ended
        if unseen > max(CLOSE, took / 2):
            last = replace(last, watch="rough")
            if at_least > longest:
                # It was later than any before, and nobody knows how much: watch once more.
                history = replace(history, watched=0)
                longest = at_least
        elif at_least >= longest:
            # The last look, after `longest` had passed, did not see it: it did take longer.
            longest = took
    return replace(history, last=last, longest=max(longest, history.longest or 0.0))


def settled_from(history: History, known: Measured, limit: float) -> float:
    """Return the time from which no more rows of the last turn are expected."""
    last = history.last
    if last is None:
        return -math.inf
    if last.how != "ended" or not last.rows or known.longest is None or not known.enough:
        return last.ended + limit
    return last.ended + min(limit, max(LEAST, 2 * known.longest))


def next_look(history: History, known: Measured, limit: float, now: float) -> float:
    """Return when to count again: often enough to date a row, not before it may be there."""
    last, until = history.last, settled_from(history, known, limit)
    if last is None or last.how != "ended":
        return until  # There is nothing to measure.
    since, after = now - last.ended, -math.inf
    if known.longest is not None and known.enough:
        after = last.ended + known.longest
    # What is dated roughly is taken for longer than it was: within LEAST that costs nothing.
    fine = since / (2 if known.enough and since < LEAST else 8)
    return min(until, max(after, now + max(FINEST, fine)))


def late_until(history: History, known: Measured, limit: float) -> float:
    """Return until when rows of the last turn may come late, by what was measured."""
    last = history.last
    longest = 0.0 if known.longest is None else known.longest
    return -math.inf if last is None else last.ended + min(limit, 2 * longest)


def hopeless(history: History) -> bool:
    """Return whether so many turns left no row that there is no wait for more."""
    return history.rowless >= ROWLESS


def too_soon(history: History, known: Measured, asked: float) -> bool:
    """Return whether a row of the last turn may come after `asked`, by what was measured."""
    last = history.last
    return last is not None and asked < last.ended + 2 * (known.longest or 0.0)


def silent(history: History, known: Measured) -> bool:
    """Return whether the last turn left no row, and the run has seen none that could tell why."""
    last = history.last
    # One that failed may have come to nothing, and is red by itself.
    if last is None or last.how == "failed" or not last.sure:
        return False
    return not last.rows and known.longest is None
