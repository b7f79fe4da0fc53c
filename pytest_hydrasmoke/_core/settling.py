"""When the LLM events of an instance's last turn are all in; pure functions.

The agent pushes rows after their turn, and nothing in a row names the turn. So the count before a
chat is read `usage_settle` after the end of the turn before, whose rows are in by then: that bound
is the setting's promise. The run measures how late rows really come, its `Lags`: once enough of
them were in time, less is waited; one that is late by more than the setting makes accounts
doubtful; and before any was seen, a turn without a row is watched for longer.

Points in time and durations are seconds of the IO's clock; counts go back to the instance's birth,
so that they only ever grow.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.chat import Counted, TurnBegan, TurnOver
from pytest_hydrasmoke._journal.events import Event

from .account import Count, Doubt

LEAST = 1.0
"""Seconds after a turn's end within which no turn is settled, however early its rows came."""
ENOUGH = 5
"""Turns with rows in time after which twice the longest lag is waited."""
FEW = 2
"""Turns with rows in time before which a turn without a row is watched for longer."""
ROWLESS = 3
"""Turns without a row after which nobody waits, in a run that has seen none."""
USUAL = 5.0
"""Seconds after its end when a turn is settled, where the setting says that nobody waits."""
FINEST = 0.1
"""Least seconds between two looks; later a share of the time since the turn's end."""


class Waits(NamedTuple):
    """How many seconds after a turn's end the count before the next one is read."""

    settle: float
    """As long as rows may come."""
    watch: float
    """Where nobody knows yet whether they come later."""
    again: float
    """Seconds until a count that must not be more is read once more, at least."""


class Lags(NamedTuple):
    """What a run has seen of how long after their turn's end rows come."""

    longest: float | None = None
    """The longest lag that is proved: it was this at least; None before any row."""
    in_time: int = 0
    """Turns of a spec whose first row was seen soon after it came."""
    unexpected: int = 0
    """Whole turns of a spec that left no row, where no test expected that."""
    rowless: int = 0
    """All turns of a spec that left no row."""

    @property
    def proved(self) -> float:
        return self.longest or 0.0


class LastTurn(NamedTuple):
    """The last turn on an instance, as far as it is known."""

    test: str
    """The test that ran it; "" outside of any."""
    before: int
    """The LLM events counted before it."""
    counted: int
    """The most that were counted since."""
    looked: float
    """When they were last asked for."""
    by: str = ""
    """The process that ran it."""
    how: str = "under way"
    """Or how it ended: see `TurnOver`."""
    ended: float = math.inf
    rose: float = -math.inf
    """When the last new row of it was seen."""
    sure: bool = True
    """Whether `before` includes all events of earlier turns."""
    late: bool = False
    """Whether its end was seen late: nobody knows how long after it a row comes."""
    met: bool = False
    """Whether it left exactly as many rows as its test expects: it owes nothing."""

    @property
    def rows(self) -> int:
        """How many rows are known to be its own."""
        return self.counted - self.before if self.sure else 0


class Settling(NamedTuple):
    """What is known of the turns on one instance, of any process."""

    number: int = 0
    """Turns that have begun, of any process."""
    judged: int = 0
    """Of how many of these it is told whether they left a row."""
    last: LastTurn | None = None
    end_seen: bool = False
    """Whether the stream of any turn had a terminal event."""
    since: float | None = None
    """When the run's first turn on it began."""
    spec: str = ""
    """What names its spec."""
    earlier: Settling | None = None
    """The same before the last turn, which may turn out to be none."""
    lags: Lags = Lags()
    """What the run has seen of rows."""

    def settled_from(self, waits: Waits) -> float:
        """Return when the count before the next turn is read: the last one's rows are in."""
        last = self.last
        return -math.inf if last is None or last.met else last.ended + self._due(last, waits)

    def final_from(self, waits: Waits) -> float:
        """Return when a count of the last turn is final, which must not be more."""
        if self.last is None:
            return -math.inf
        due, late = self._due(self.last, waits), 2 * self.lags.proved
        if self.lags.proved >= waits.settle:
            due = max(due, min(late, waits.watch))
        return self.last.ended + due

    def _due(self, last: LastTurn, waits: Waits) -> float:
        """Return how many seconds after its end a turn's rows are in."""
        lags = self.lags
        if last.counted == last.before:
            is_known = lags.in_time >= FEW or lags.rowless >= ROWLESS or lags.proved >= waits.settle
            return waits.settle if is_known else max(waits.settle, waits.watch)
        if last.rows and last.how == "ended" and lags.in_time >= ENOUGH:
            return min(waits.settle, max(LEAST, 2 * lags.proved))
        return waits.settle

    def step(self, now: float) -> float:
        """Return the seconds until the next look: short enough to date a row of the last turn."""
        last, usual = self.last, self.lags.proved
        if last is None or last.how != "ended":
            return math.inf  # There is nothing to measure.
        since = now - last.ended
        if self.lags.in_time >= ENOUGH and since < usual:
            return usual - since
        # What is dated roughly is taken for earlier than it was: within LEAST that costs nothing.
        return max(FINEST, since / (2 if since < LEAST else 8))

    def impatience(self, setting: float) -> Doubt | None:
        """Return why nobody waits for rows of the last turn; None where somebody does."""
        lags, last = self.lags, self.last
        if lags.unexpected >= ROWLESS and lags.longest is None:
            why = f"the {lags.unexpected} turns before left none, so there was no wait"
            step = "see why the agent's usage is not recorded"
        elif not setting:
            why, step = "there was no wait", "set HYDRA_SMOKE_USAGE_SETTLE to more than 0"
        else:
            return None
        return doubted("" if last is None else last.test, why, step)

    def doubt(self, count: Count, settle: float) -> Doubt | None:
        """Return why a count may leave out rows of the turn before, by what is known by now."""
        longest = self.lags.proved
        if count.doubt is not None or longest < settle or count.waited >= 2 * longest:
            return count.doubt
        why = f"an event of this run came {longest:.1f} s after its turn's end or later, "
        why += f"usage_settle is {settle:g} s, and this turn began {count.waited:.1f} s after the "
        why += "one before"
        step = f"raise HYDRA_SMOKE_USAGE_SETTLE to {math.ceil(2 * longest)}, twice that delay"
        return doubted(count.earlier, why, step)


def doubted(test: str, why: str, next_step: str) -> Doubt:
    """Return the doubt whether the rows of a test's turn are among those of the next one."""
    test = safe_line(test) or "(no test)"
    why = f"LLM events of the turn before, of {test}, may be among them: {why}"
    return Doubt(why, next_step)


def apply(turns: Settling, lags: Lags, at: float, event: Event) -> tuple[Settling, Lags]:
    """Add what a process has written of an instance, and what that shows of its spec's rows."""
    match event:
        case TurnBegan():
            return _begun(turns, lags, at, event)
        case TurnOver():
            return _over(turns, at, event), lags
        case Counted():
            return _counted(turns, lags, at, event)
        case _:
            return turns, lags


def _begun(turns: Settling, lags: Lags, at: float, event: TurnBegan) -> tuple[Settling, Lags]:
    last, count, sure = turns.last, event.before, event.sure
    if count is None:
        count, sure = 0 if last is None else last.counted, False
    is_told = turns.judged == turns.number
    turns = turns._replace(judged=turns.number)  # Also where this turn turns out to be none.
    if sure and last is not None and last.sure and not last.rows and not is_told:
        is_odd = last.how == "ended" and not last.met
        lags = lags._replace(unexpected=lags.unexpected + is_odd, rowless=lags.rowless + 1)
    turns = turns._replace(
        number=turns.number + 1,
        last=LastTurn(event.test or "", count, count, at, event.by, sure=sure),
        since=at if turns.since is None else turns.since,
        spec=event.spec,
        earlier=turns if turns.earlier is None else turns._replace(earlier=None),
    )
    return turns, lags


def _over(turns: Settling, at: float, event: TurnOver) -> Settling:
    last = turns.last
    if last is None or last.how != "under way" or event.number != turns.number:
        return turns  # It has ended already.
    if event.how == "refused":
        return turns.earlier or Settling()
    sure, looked = last.sure and event.known, max(last.looked, at)
    last = last._replace(how=event.how, ended=at, looked=looked, sure=sure, late=event.late)
    return turns._replace(last=last, end_seen=turns.end_seen or event.end_seen)


def _counted(turns: Settling, lags: Lags, at: float, event: Counted) -> tuple[Settling, Lags]:
    last, asked = turns.last, event.asked
    if last is None or asked is None or asked < last.looked:
        return turns, lags
    if event.total > last.counted:
        had_some, is_ended = last.rows > 0, last.how == "ended"
        longest = max(last.looked - last.ended if is_ended else 0.0, lags.proved)
        last = last._replace(counted=event.total, rose=at, met=False)
        lags = lags._replace(longest=longest)
        if last.rows and is_ended and not last.late:
            lags = _timed(lags, at - last.ended, had_some=had_some)
    last = last._replace(looked=asked, met=last.met or event.met)
    return turns._replace(last=last), lags


def _timed(lags: Lags, took: float, *, had_some: bool) -> Lags:
    """Count a turn whose rows have come as soon as those of others, so far; or begin anew.

    Where it had left some before, a shorter wait would have missed this one.
    """
    is_soon = took <= max(LEAST, 2 * lags.proved)
    if had_some:
        return lags if is_soon else lags._replace(in_time=0)
    return lags._replace(in_time=lags.in_time + is_soon)
