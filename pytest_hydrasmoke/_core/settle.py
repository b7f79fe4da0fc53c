"""When the LLM events of an instance's last turn are all in: what decides it, without acting.

Rows are pushed by the agent, after the turn that they are of, and nothing in them tells which turn
that is. So an account begins only once the turn before is settled: once its rows have come, and
come no more. How long that takes is measured, by whoever counts: `lag` is from a turn's end until
its first row was seen, `gap` from one row to the next. Points in time and lengths are seconds of
the IO's clock; counts go back beyond the instance's birth, so that they only ever grow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

QUIET = 0.3
"""Seconds after a turn's end within which no turn is settled, however early its rows came."""
PAUSE = 0.25
"""Seconds without another row after the last one: less than QUIET, as it was seen after it came."""
FINEST = 0.02
"""Seconds between two looks, at least; later on an eighth of those since the turn's end."""
CLOSE = 0.1
"""Seconds without a look that leave a row's time known well enough; later on half of its lag."""
ROWLESS = 3
"""Turns in a row without any row after which no more is waited for."""
USUAL = 5.0
"""Seconds after its end from which a turn is settled at any rate, if no setting says otherwise."""

How = Literal["under way", "ended", "left", "failed", "cut"]


@dataclass(frozen=True, slots=True)
class LastTurn:
    """The last turn on an instance, as far as anybody knows."""

    test: str
    """The test that it was of; "" outside of any."""
    before: int
    """The LLM events counted before it."""
    count: int
    """The most that were counted since."""
    looked: float
    """When they were counted last."""
    how: How = "under way"
    ended: float = math.inf
    rose: float = -math.inf
    """When a row of it was last seen to have come."""
    sure: bool = True
    """Whether nothing of an earlier turn can be beyond `before`."""
    close: bool = True
    """Whether each row was seen so soon after it came that its time is known."""

    @property
    def rows(self) -> int:
        """How many are known to be its own."""
        return self.count - self.before if self.sure else 0


@dataclass(frozen=True, slots=True)
class History:
    """The turns on one instance, and what was measured of them."""

    number: int = 0
    """Turns that have begun, by whoever it was."""
    last: LastTurn | None = None
    rowless: int = 0
    """Turns before the last one, in a row, that left no row."""
    lag: float = 0.0
    gap: float = 0.0
    watched: bool = False
    """Whether a turn was watched from its first row until it was surely settled."""
    end_told: bool = False
    """Whether the stream of any turn told its end."""


class Measured(NamedTuple):
    """What goes for an instance: the run's longest, and whether a turn of its spec was watched."""

    lag: float = 0.0
    gap: float = 0.0
    watched: bool = False


def measured(everywhere: Iterable[History], of_spec: Iterable[History]) -> Measured:
    """Put together what was measured on all instances of the run, and on those of a spec."""
    histories = list(everywhere)
    return Measured(
        max((history.lag for history in histories), default=0.0),
        max((history.gap for history in histories), default=0.0),
        any(history.watched for history in of_spec),
    )


def begun(history: History, test: str, count: int | None, at: float) -> History:
    """Let a turn begin; `count` is what was counted before, None if that is not sure."""
    last, rowless = history.last, history.rowless
    known = 0 if last is None else last.count
    turn = LastTurn(test, known, known, at, sure=False)
    if count is not None:
        turn = LastTurn(test, count, count, at)
        if last is not None and last.sure:
            rowless = 0 if last.rows else rowless + 1
    return replace(history, number=history.number + 1, last=turn, rowless=rowless)


def over(history: History, how: How, at: float) -> History:
    """Let the last turn be over; one that is over already stays as it was."""
    last = history.last
    if last is None or last.how != "under way":
        return history
    return replace(history, last=replace(last, how=how, ended=at, looked=max(last.looked, at)))


def seen(
    history: History, asked: float, at: float, count: int, known: Measured, whole: float
) -> History:
    """Take in that `count` were counted, by a look that was `asked` for and answered `at`."""
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
                # It was not there yet when that had passed: it took longer, by all means.
                if turn.close and last.looked - since >= longest:
                    lag, gap = (took, history.gap) if first else (history.lag, took)
                    history = replace(history, lag=lag, gap=gap)
    watched = turn.how == "ended" and turn.rows > 0 and turn.close and at >= turn.ended + whole
    return replace(history, last=turn, watched=history.watched or watched)


def _close(unseen: float, took: float) -> bool:
    return unseen <= max(CLOSE, took / 2)


def settled_from(history: History, known: Measured, whole: float) -> float:
    """Return the point from which nothing of the last turn is expected any more."""
    last = history.last
    if last is None:
        return -math.inf
    latest = last.ended + whole
    if last.how != "ended" or not last.rows or not known.watched:
        return latest
    quiet = last.ended + max(QUIET, 2 * known.lag)
    pause = last.rose + max(PAUSE, 2 * known.gap)
    return min(latest, max(quiet, pause))


def next_look(history: History, known: Measured, whole: float, now: float) -> float:
    """Return the point at which to count again: no later than needed, and no sooner."""
    last, until = history.last, settled_from(history, known, whole)
    if last is None or last.how != "ended" or not last.sure:
        return until  # There is nothing to be measured.
    fine = now + max(FINEST, (now - last.ended) / 8)
    if known.watched:
        expected = max(last.rose, last.ended) + known.gap if last.rows else last.ended + known.lag
        if expected > now:
            return min(until, expected)
        if last.rows:
            return until
    return min(until, fine)


def hopeless(history: History) -> bool:
    """Return whether so many turns left no row that none is waited for."""
    return history.rowless >= ROWLESS


def too_slow(history: History, known: Measured, asked: float) -> bool:
    """Return whether a row of the last turn may be under way still, by what was measured."""
    last = history.last
    if last is None or last.how != "ended" or last.rows:
        return False
    return asked < last.ended + 2 * known.lag
