"""Count the LLM events of a turn, or of an instance, until they are as expected.

A turn's own events are those beyond its baseline, which was read just before it over a window that
begins before the instance did, so that nothing ages out between two reads. A count that could not
be read is an error, never "no events"; so is a count that may include another turn's events.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_hydrasmoke._api.calls import RECORD_THEM
from pytest_hydrasmoke._api.models import NONE, LlmEvents, Rows, check_explained, rows_of
from pytest_hydrasmoke._base.errors import (
    ContractError,
    HydraSmokeError,
    LlmEventsError,
    hide_own_frames,
)
from pytest_hydrasmoke._base.text import first_few, safe_line
from pytest_hydrasmoke._journal.events import MOST_PROVIDERS
from pytest_hydrasmoke._transport.protocol import LAST_CHANCE

from .account import Count, TurnAccount
from .counting import LAST_READ, RECENT, Counting, is_own, life_window
from .expected import Expected, maybe_since, surely_since
from .policy import SECOND_LOOK, poll_interval

if TYPE_CHECKING:
    from pytest_hydrasmoke.fake.replay import AllAsked

__tracebackhide__ = hide_own_frames

# A window has whole seconds: this fraction of one may reach back before the turn.
_SLACK = 0.02


@dataclass(frozen=True, slots=True)
class CountLook:
    """One reading: what was added, by whom, and whether time can change it."""

    answer: LlmEvents
    added: int
    seen: frozenset[str]
    text: str
    doubtful: frozenset[str] = frozenset()
    """Relevant providers that may or may not be among them."""
    final: bool = False
    known: AllAsked | None = None
    """In a replay, that nothing more will be counted."""
    all_in: bool = False
    """Whether the router, asked before, has said that no more come of the turns so far."""


class Expecting:
    """The LLM events of one instance, read until they are as expected.

    A count with an upper bound is read again after `SECOND_LOOK` seconds, and later where the run
    has seen later rows; not where the router says that there are no more.
    """

    def __init__(self, counting: Counting, timeout: float) -> None:
        self._counting = counting
        self._io = counting.calls.io
        self._record = counting.record
        self._start = self._io.now()
        self._deadline = self._start + timeout
        self._account: TurnAccount | None = None
        """The turn's, where its own events are expected."""
        self._did: str | None = None

    async def of_window(self, expected: Expected) -> LlmEvents:
        """Expect events in the last 900 s; raises `LlmEventsError`."""

        async def look() -> CountLook:
            all_in = self._counting.all_in()
            answer, known = await self._read(RECENT, in_part=False)
            text = f"{answer.count} in the last {RECENT} s"
            names = frozenset(answer.providers)
            return CountLook(answer, answer.count, names, text, known=known, all_in=all_in)

        return await self._until_met(expected, look, "count a turn's own (its expect_llm_events)")

    async def of_turn(
        self, expected: Expected, account: TurnAccount, did: str | None = None
    ) -> LlmEvents:
        """Expect events of a turn; raises `LlmEventsError`, which names what the turn `did`."""
        before = account.before
        self._account, self._did = account, did
        if account.uncounted is not None:
            self._fail(expected, account.uncounted, RECORD_THEM)

        async def look() -> CountLook:
            all_in = self._counting.all_in()
            answer, known = await self._count(before)
            # Read after the answer: a turn that began meanwhile bounds this one.
            after = account.after
            self._check(expected, before, after)
            names = frozenset(answer.providers)
            upto = after or Count(self._io.now(), answer.count, names)
            check_explained(upto.rows, before.rows)
            account.saw(upto)
            added, names = upto.count - before.count, upto.providers
            seen, doubtful = surely_since(before.providers, names, added), frozenset[str]()
            relevant = (names & expected.providers) | expected.unexpected(names)
            if relevant - seen and maybe_since(before.providers, names, added):
                if after is not None:
                    doubtful = relevant - seen
                else:
                    since = names & set(await self._providers_since(before.at))
                    if account.after is not None or not is_own(self._record, before.number):
                        return await look()  # By now they may be another turn's.
                    seen |= since
            when = "now" if after is None else "at the next turn"
            text = f"{added} ({before.count} before the turn, {upto.count} {when})"
            final = after is not None
            return CountLook(answer, added, seen, text, doubtful, final, known, all_in)

        return await self._until_met(expected, look, "see the agent's log of this turn", own=True)

    async def _count(self, before: Count) -> tuple[LlmEvents, AllAsked | None]:
        asked, record = self._io.now(), self._record
        answer, known = await self._read(life_window(record, asked), before=before.rows)
        self._counting.took(answer, asked)
        if is_own(record, before.number):
            self._counting.looked(asked, self._io.now(), answer.count)
        return answer, known

    def _check(self, expected: Expected, before: Count, after: Count | None = None) -> None:
        """Fail where no wait, however long, can separate this account from another one."""
        for baseline in (before,) if after is None else (before, after):
            if baseline.error is not None:
                self._fail(
                    expected,
                    f"no count to compare with: {baseline.error}",
                    "find out why that read failed: it is not repeated",
                )
        if before.doubt is not None:
            self._fail(expected, before.doubt.why, before.doubt.next_step)
        if after is not None and after.doubt is not None:
            why = f"some may be missing, as the next turn began before they were in: {_ASK_FIRST}"
            self._fail(expected, why, after.doubt.next_step)
        if after is None and not is_own(self._record, before.number):
            self._fail(expected, "another client has chatted since the turn", _ASK_FIRST)

    async def _until_met(
        self,
        expected: Expected,
        look: Callable[[], Coroutine[Any, Any, CountLook]],
        advice: str,
        *,
        own: bool = False,
    ) -> LlmEvents:
        io, looked_enough = self._io, not expected.bounded
        with self._record.phase("llm_events", io, deadline=self._deadline):
            while True:
                now = await look()
                # A turn's own events are all known then; later turns may add to an instance's.
                known = now.known is not None and (own or now.known.all_asked)
                wrong = expected.too_many(now.added) or expected.unexpected(now.seen)
                if not (wrong or now.doubtful) and expected.met(now.added, now.seen):
                    if looked_enough or now.final or now.all_in or known:
                        return now.answer
                    looked_enough = True
                    await io.sleep(max(SECOND_LOOK, self._counting.late_until() - io.now()))
                    continue
                known = known or (own and now.all_in)
                if wrong or now.final or known or io.now() >= self._deadline:
                    self._fail_unmet(expected, now, advice if wrong else None)
                await io.sleep(min(self._pause(), self._deadline - io.now()))

    def _pause(self) -> float:
        # A turn's rows come soon after its end: look more often then.
        now = self._io.now()
        soon = self._counting.next_look(now) - now
        pause = poll_interval(now - self._start)
        return min(pause, soon) if soon > 0 else pause

    async def _providers_since(self, begun: float) -> tuple[str, ...]:
        # The smallest window in whole seconds that reaches back to the turn's start.
        elapsed = self._io.now() - begun
        window = math.ceil(elapsed + _SLACK)
        await self._io.sleep(window - _SLACK - elapsed)
        answer, _ = await self._read(window)
        if answer.window_seconds > window:
            raise ContractError(
                "llm_events answered for a longer window than it was asked for",
                expected=f"window_seconds: {window}, back to the turn's start",
                got=f"window_seconds: {answer.window_seconds}",
                next_step="tell the router's developers: no turn's providers can be told so",
            )
        return answer.providers

    async def _read(
        self, window: int, *, in_part: bool = True, before: Rows = NONE
    ) -> tuple[LlmEvents, AllAsked | None]:
        # Allow one read even if the deadline has just passed; any other keeps to it.
        now = self._io.now()
        deadline = self._deadline if self._deadline - now > LAST_CHANCE else now + LAST_READ
        try:
            answer, known = await self._counting.read(
                window, deadline, in_part=in_part, before=before
            )
        except HydraSmokeError as error:
            failed = error
        else:
            check_explained(rows_of(answer))
            return answer, known
        raise LlmEventsError(
            f"LLM events can't be counted: {failed.message}", next_step=failed.next_step
        )

    def _fail_unmet(self, expected: Expected, now: CountLook, wrong: str | None) -> NoReturn:
        """Fail with what was counted; `wrong` is the advice on what no wait can repair."""
        got = _summary(now)
        missing = expected.providers - now.seen
        if now.known is not None:
            got = f"{got}, as recorded"
            step = f"{_RECORDED}: {now.known.again}"
        elif wrong is not None:
            step = f"{wrong}: a longer wait does not help"
        elif now.final:
            step = _ASK_FIRST
        elif missing and now.added >= max(expected.at_least, 1):
            step = f"enough events came, but none from {_listed(missing)}: {_WHOSE}"
        else:
            step = _LATE
        self._fail(expected, got, step, in_vain=step == _LATE and not now.added)

    def _fail(
        self, expected: Expected, got: str, next_step: str, *, in_vain: bool = False
    ) -> NoReturn:
        words = "the LLM events are not as expected"
        account = self._account
        if account is not None and account.left:
            words = f"the turn was left before its end, and {words}"
            next_step = _LEFT
        elif account is not None and account.unended:
            words = f"the stream of the turn ended without a terminal event, and {words}"
            next_step = f"{_UNENDED}; else {next_step}"
        error = LlmEventsError(
            words,
            expected=str(expected),
            got=got,
            seconds=self._io.now() - self._start,
            next_step=next_step,
        )
        error.turn, error.in_vain = self._did, in_vain
        raise error


_ASK_FIRST = "expect a turn's LLM events before the next chat on its instance"
_LEFT = "read the stream to its end: of a turn that is left, an agent may count nothing"
_UNENDED = (
    "see whether its reply is whole: if its runtime sends a terminal event, set "
    'chat_end = "required", and a cut reply fails by itself'
)
_LATE = (
    "raise HYDRA_SMOKE_LLM_EVENTS_TIMEOUT if the agent reports its usage late, "
    "else see the agent's log of this turn"
)

_WHOSE = (
    "see which providers the agent uses, in its configuration and its log of this turn; raise "
    "HYDRA_SMOKE_LLM_EVENTS_TIMEOUT only if more events come later"
)
_RECORDED = (
    "expect what was recorded: a replay counts nothing else; if the agent does otherwise now, "
    "record it again"
)


def _summary(now: CountLook) -> str:
    names = _listed(now.seen) or "no provider"
    perhaps = f", and perhaps from {_listed(now.doubtful)}" if now.doubtful else ""
    return f"{now.text}, from {names}{perhaps}"


def _listed(names: Collection[str]) -> str:
    return first_few([safe_line(name, 60) for name in sorted(names)], MOST_PROVIDERS)
