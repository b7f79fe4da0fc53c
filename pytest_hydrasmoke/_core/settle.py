"""When the LLM events of an instance's last turn are all in; pure functions.

The agent pushes rows after their turn, and nothing in a row names the turn. So an account begins
only once the turn before is settled: its rows have come, and no more arrive. How long that takes is
measured at each count: `lag` is from a turn's end until its first row was seen, `gap` from one row
to the next. Points in time and durations are seconds of the IO's clock; counts go back beyond the
instance's birth, so that they only ever grow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

QUIET = 0.3
"""Seconds after a turn's end within which no turn is settled, however early its rows came."""
PAUSE = 0.25
"""Seconds without another row after the last one: less than QUIET, as rows are seen late."""
FINEST = 0.02
"""Least seconds between two looks; later an eighth of the time since the turn's end."""
CLOSE = 0.1
"""Seconds between looks that date a row closely enough; later on half of its lag."""
ROWLESS = 3
"""Consecutive turns without rows after which there is no wait for more."""
USUAL = 5.0
"""Seconds after its end when any turn is settled, unless a setting says otherwise."""

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
    how: How = "under way"
    ended: float = math.inf
    rose: float = -math.inf
    """When the last new row of it was seen."""
    sure: bool = True
    """Whether `before` includes all events of earlier turns."""
    close: bool = True
    """Whether looks were frequent enough to date each row."""

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
    lag: float = 0.0
    gap: float = 0.0
    watched: bool = False
    """Whether a turn was watched from its first row until it was surely settled."""
    end_seen: bool = False
    """Whether the stream of any turn had a terminal event."""


class Measured(NamedTuple):
    """What applies to an instance: the run's longest times, and whether its spec was watched."""

    lag: float = 0.0
    gap: float = 0.0
    watched: bool = False


def measured(everywhere: Iterable[History], of_spec: Iterable[History]) -> Measured:
    """Combine the measurements on all instances of the run, and on those of a spec."""
    histories = list(everywhere)
    return Measured(
        max((history.lag for history in histories), default=0.0),
        max((history.gap for history in histories), default=0.0),
        any(history.watched for history in of_spec),
    )


def begun(history: History, test: str, count: int | None, at: float) -> History:
    """Begin a turn; `count` is what was counted before, None if that is not sure."""
    last, rowless = history.last, history.rowless
    known = 0 if last is None else last.count
    turn = LastTurn(test, known, known, at, sure=False)
    if count is not None:
        turn = LastTurn(test, count, count, at)
        if last is not None and last.sure:
            rowless = 0 if last.rows else rowless + 1
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
    turn = replace(last, looked=at)
    if count > last.count:
        turn = replace(turn, count=count, rose=at)
        history = replace(history, rowless=0)
        if last.sure and last.how == "ended":
            first = not last.rows
            since = last.ended if first else max(last.rose, last.ended)
            longest = known.lag if first else known.gap
            took = at - since
            if took > longest:
                turn = replace(turn, close=last.close and _close(asked - last.looked, took))
                # The last look, after `longest` had passed, did not see it: it did take longer.
                if turn.close and last.looked - since >= longest:
                    lag, gap = (took, history.gap) if first else (history.lag, took)
                    history = replace(history, lag=lag, gap=gap)
    watched = turn.how == "ended" and turn.rows > 0 and turn.close and at >= turn.ended + limit
    return replace(history, last=turn, watched=history.watched or watched)


def _close(unseen: float, took: float) -> bool:
    return unseen <= max(CLOSE, took / 2)


def settled_from(history: History, known: Measured, limit: float) -> float:
    """Return the time from which no more rows of the last turn are expected."""
    last = history.last
    if last is None:
        return -math.inf
    latest = last.ended + limit
    if last.how != "ended" or not last.rows or not known.watched:
        return latest
    quiet = last.ended + max(QUIET, 2 * known.lag)
    pause = last.rose + max(PAUSE, 2 * known.gap)
    return min(latest, max(quiet, pause))


def next_look(history: History, known: Measured, limit: float, now: float) -> float:
    """Return when to count again: no later than needed, and no sooner."""
    last, until = history.last, settled_from(history, known, limit)
    if last is None or last.how != "ended" or not last.sure:
        return until  # There is nothing to measure.
    fine = now + max(FINEST, (now - last.ended) / 8)
    if known.watched:
        expected = max(last.rose, last.ended) + known.gap if last.rows else last.ended + known.lag
        if expected > now:
            return min(until, expected)
        if last.rows:
            return until
    return min(until, fine)


def hopeless(history: History) -> bool:
    """Return whether so many turns left no row that there is no wait for more."""
    return history.rowless >= ROWLESS


def too_slow(history: History, known: Measured, asked: float) -> bool:
    """Return whether a row of the last turn may still come, by what was measured."""
    last = history.last
    if last is None or last.how != "ended" or last.rows:
        return False
    return asked < last.ended + 2 * known.lag
