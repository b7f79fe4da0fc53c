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
from typing import Literal, NamedTuple

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.chat import Counted, TurnBegan, TurnOver
from pytest_hydrasmoke._journal.events import Event

from .account import Doubt

LEAST = 1.0
"""Seconds after a turn's end within which no turn is settled, however early its rows came."""
WATCHED = 2
"""How many turns of a spec are watched for as long as rows may come."""
ROWLESS = 3
"""Consecutive turns without rows after which there is no wait for more."""
USUAL = 5.0
"""Seconds after its end when any turn is settled, unless a setting says otherwise."""
FINEST = 0.1
"""Least seconds between two looks; later a share of the time since the turn's end."""
CLOSE = 0.1
"""Seconds between looks that date a row closely enough; later on half of its time."""


class LastTurn(NamedTuple):
    """The last turn on an instance, as far as it is known."""

    test: str
    """The test that ran it; "" outside of any."""
    before: int
    """The LLM events counted before it."""
    counted: int
    """The most that were counted since."""
    looked: float
    """When they were counted last."""
    by: str = ""
    """The process that ran it."""
    how: str = "under way"
    """Or how it ended: see `TurnOver`."""
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
        return self.counted - self.before if self.sure else 0


class Measured(NamedTuple):
    """The run's longest time, and how often an instance's spec was watched."""

    longest: float | None = None
    watched: int = 0

    @property
    def reliable(self) -> float | None:
        """The longest time, if it was measured often enough."""
        return self.longest if self.watched >= WATCHED else None


class Settling(NamedTuple):
    """What is known of the turns on one instance, of any process, and was measured of them."""

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
    """When the run's first turn on it began."""
    spec: str = ""
    """What names its spec."""
    earlier: Settling | None = None
    """The same before the last turn, which may turn out to be none."""
    run: Measured = Measured()
    """What the run has measured that applies to the instance."""

    def settled_from(self, limit: float) -> float:
        """Return the time from which no more rows of the last turn are expected.

        Any turn is settled `limit` seconds after its end.
        """
        last, longest = self.last, self.run.reliable
        if last is None:
            return -math.inf
        if last.how != "ended" or not last.rows or longest is None:
            return last.ended + limit
        return last.ended + min(limit, max(LEAST, 2 * longest))

    def next_look(self, limit: float, now: float) -> float:
        """Return when to count again: often enough to date a row, not before it may be there."""
        last, longest, until = self.last, self.run.reliable, self.settled_from(limit)
        if last is None or last.how != "ended":
            return until  # There is nothing to measure.
        since = now - last.ended
        after = -math.inf if longest is None else last.ended + longest
        # What is dated roughly is taken for longer than it was: within LEAST that costs nothing.
        fine = since / (2 if since < LEAST else 8)
        return min(until, max(after, now + max(FINEST, fine)))

    def late_until(self, limit: float) -> float:
        """Return until when rows of the last turn may come late, by what was measured."""
        last = self.last
        if last is None:
            return -math.inf
        if last.how == "left":
            return last.ended + limit  # Its agent goes on, and nobody knows for how long.
        return last.ended + min(limit, 2 * (self.run.longest or 0.0))

    @property
    def hopeless(self) -> bool:
        """Whether so many turns left no row that there is no wait for more."""
        return self.rowless >= ROWLESS

    def too_soon(self, asked: float) -> bool:
        """Return whether a row of the last turn may come after `asked`, by what was measured."""
        last = self.last
        return last is not None and asked < last.ended + 2 * (self.run.longest or 0.0)

    @property
    def silent(self) -> bool:
        """Whether the last turn left no row, and the run has seen none that could tell why."""
        last = self.last
        # One that failed, or whose process died, may have come to nothing, and is red by itself.
        if last is None or last.how in ("failed", "cut") or not last.sure:
            return False
        return not last.rows and self.run.longest is None

    def doubt(self, settle: float, *, asked: float, until: float) -> Doubt | None:
        """Return why an account that begins now may include an earlier turn's events; None if not.

        `settle` is the setting; the last count was `asked` for then, and it is settled at `until`.
        """
        last, counts = self.last, False
        if last is None:
            return None
        if asked < until and self.hopeless:
            why = f"the {self.rowless} turns before that one left none, so there was no wait"
            step = "see why the agent's usage is not recorded"
        elif asked < until and not settle:
            why, step = "there was no wait", "set HYDRA_SMOKE_USAGE_SETTLE to more than 0"
        elif asked >= until and self.too_soon(asked):
            why = f"events came up to {self.run.longest:.1f} s after their turn's end"
            why += f", and {asked - last.ended:.1f} s were waited"
            step = "raise HYDRA_SMOKE_USAGE_SETTLE to more than twice that"
        elif asked >= until and self.silent:
            why = f"that turn has left none, and none of this run was seen in {settle:g} s"
            step = "no LLM event of this run was seen: see in the agent's log whether it reports "
            step += "its usage. If it does so late, raise HYDRA_SMOKE_USAGE_SETTLE"
            counts = True
        else:
            return None
        test = safe_line(last.test) or "(no test)"
        why = f"LLM events of the turn before, of {test}, may be among them: {why}"
        return Doubt(why, step, counts)


def apply(turns: Settling, at: float, event: Event, longest: float | None) -> Settling:
    """Add what a process has written of an instance; `longest` is what the run has measured."""
    match event:
        case TurnBegan():
            return _begun(turns, at, event)
        case TurnOver():
            return _over(turns, at, event)
        case Counted():
            return _counted(turns, at, event, longest or 0.0)
        case _:
            return turns


def _begun(turns: Settling, at: float, event: TurnBegan) -> Settling:
    last, rowless, count, sure = turns.last, turns.rowless, event.before, event.sure
    if count is not None and last is not None and last.sure:
        rowless = 0 if last.rows else rowless + 1
    if count is None:
        count, sure = 0 if last is None else last.counted, False
    return turns._replace(
        number=turns.number + 1,
        last=LastTurn(event.test or "", count, count, at, event.by, sure=sure),
        rowless=rowless,
        since=at if turns.since is None else turns.since,
        spec=event.spec,
        earlier=turns if turns.earlier is None else turns._replace(earlier=None),
    )


def _over(turns: Settling, at: float, event: TurnOver) -> Settling:
    last = turns.last
    if last is None or last.how != "under way" or event.number != turns.number:
        return turns  # It has ended already.
    if event.how == "refused":
        return turns.earlier or Settling()
    last = last._replace(
        how=event.how,
        ended=at,
        looked=max(last.looked, at),
        sure=last.sure and event.known,
        # Nobody knows how long after its end a row comes.
        watch="rough" if event.late else "",
    )
    return turns._replace(last=last, end_seen=turns.end_seen or event.end_seen)


def _counted(turns: Settling, at: float, event: Counted, longest: float) -> Settling:
    last, asked = turns.last, event.asked
    if last is None or asked is None:
        return turns
    if event.total > last.counted:
        last, turns = _saw_row(turns._replace(rowless=0), last, asked, at, longest)
        last = last._replace(counted=event.total, rose=at)
    last = last._replace(looked=at)
    if last.how == "ended" and last.rows and not last.watch and event.whole:
        last = last._replace(watch="whole")
        turns = turns._replace(watched=turns.watched + 1)
    return turns._replace(last=last)


def _saw_row(
    turns: Settling, last: LastTurn, asked: float, at: float, longest: float
) -> tuple[LastTurn, Settling]:
    """Measure a row that came since the last look."""
    if last.how == "ended" and at - last.ended > longest:
        took, unseen, at_least = at - last.ended, asked - last.looked, last.looked - last.ended
        if unseen > max(CLOSE, took / 2):
            last = last._replace(watch="rough")
            if at_least > longest:
                # It was later than any before, and nobody knows how much: watch once more.
                turns = turns._replace(watched=0)
                longest = at_least
        elif at_least >= longest:
            # The last look, after `longest` had passed, did not see it: it did take longer.
            longest = took
    return last, turns._replace(longest=max(longest, turns.longest or 0.0))
