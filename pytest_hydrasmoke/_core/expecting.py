"""Count the LLM events of a turn, or of an instance, until they are as expected.

A turn's own events are those beyond its baseline, which was read just before it over a window that
begins before the instance did, so that nothing ages out between two reads. A count that could not
be read is an error, never "no events"; so is a count that may include another turn's events.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import NamedTuple, NoReturn

from pytest_hydrasmoke._api.calls import RECORD_THEM
from pytest_hydrasmoke._api.models import LlmEvents, check_explained, rows_of
from pytest_hydrasmoke._base.errors import ContractError, HydraSmokeError, LlmEventsError
from pytest_hydrasmoke._base.text import first_few, safe_line
from pytest_hydrasmoke._journal.events import MOST_PROVIDERS
from pytest_hydrasmoke._transport.protocol import LAST_CHANCE

from .account import Count, TurnAccount
from .counting import IF_TOO_LATE, LAST_READ, LATE, RECENT, TOO_LATE, Counting, Read
from .expected import Expected, maybe_since, surely_since
from .policy import poll_interval
from .turn_end import AGENTS_LOG

_SLACK = 0.02
"""The part of a second by which a window, of whole seconds, may reach back before the turn."""
_SOON = 0.1
"""Seconds until a fake that says what is to come is asked again."""


class CountLook(NamedTuple):
    """One reading, as what it shows of the expected events."""

    read: Read
    added: int
    seen: frozenset[str]
    """The providers that are surely among them."""
    text: str
    final: bool
    """Whether time can't change it."""
    doubtful: frozenset[str] = frozenset()
    """Relevant providers that may or may not be among them."""


class Expecting:
    """LLM events, counted until they are as expected: those of a turn, which `did` something.

    Without a turn's account they are those of the last 900 s. A count with an upper bound is read
    again once the last turn's rows are in; not where the router says that there are no more.
    """

    def __init__(
        self,
        counting: Counting,
        expected: Expected,
        timeout: float,
        account: TurnAccount | None = None,
        did: str | None = None,
    ) -> None:
        self._counting = counting
        self._io = counting.calls.io
        self._instance = counting.instance
        self._expected = expected
        self._start = self._io.now()
        self._deadline = self._start + timeout
        self._account = account
        self._did = did

    async def until_met(self) -> LlmEvents:
        """Return the router's last answer; raises `LlmEventsError`."""
        io, expected, account = self._io, self._expected, self._account
        if account is not None and account.uncounted is not None:
            self._fail(account.uncounted, RECORD_THEM)
        has_looked = not expected.bounded
        with self._instance.phase("llm_events", io, deadline=self._deadline):
            while True:
                now = await (self._in_window() if account is None else self._of_turn(account))
                wrong = expected.too_many(now.added) or expected.unexpected(now.seen)
                if not (wrong or now.doubtful) and expected.met(now.added, now.seen):
                    if has_looked or now.final or now.read.all_in:
                        self._tell_met(now.read)
                        return now.read.answer
                    waits = self._counting.waits
                    left = self._instance.target.settling.final_from(waits) - io.now()
                    # Where the fake itself says what is to come, it may say so by the next look.
                    has_looked = left <= 0 or not self._counting.is_told
                    await io.sleep(max(waits.again, left) if has_looked else min(_SOON, left))
                    continue
                if wrong or now.final or io.now() >= self._deadline:
                    self._fail_unmet(now, wrong=bool(wrong))
                # A turn's rows come soon after its end: look more often then.
                soon = self._instance.target.settling.step(io.now())
                pause = min(poll_interval(io.now() - self._start), soon)
                await io.sleep(min(pause, self._deadline - io.now()))

    def _tell_met(self, read: Read) -> None:
        """Tell the run of a last turn that has left exactly what its test expects."""
        account, wanted = self._account, self._expected
        is_exact = wanted.at_least == wanted.at_most
        if account is not None and is_exact and self._instance.target.has_last(account):
            self._counting.tell_run(read, met=True)

    async def _in_window(self) -> CountLook:
        read = await self._reading(partial(self._counting.read, RECENT, in_part=False))
        answer, known = read.answer, read.known
        check_explained(rows_of(answer))
        # Later turns may add to an instance's, unless a replay has no message left for it.
        final = known is not None and known.all_asked
        text = f"{answer.count} in the last {RECENT} s"
        return CountLook(read, answer.count, frozenset(answer.providers), text, final)

    async def _of_turn(self, account: TurnAccount) -> CountLook:
        counting, instance, before = self._counting, self._instance, account.before
        read = await self._reading(partial(counting.read_life, before=before.rows))
        now = counting.keep(read)
        # Read after the answer: a turn that began meanwhile bounds this one.
        after = account.after
        self._check(account, after)
        upto = after or now
        check_explained(upto.rows, before.rows)
        account.saw(upto)
        added, names = upto.count - before.count, upto.providers
        seen, doubtful = surely_since(before.providers, names, added), frozenset[str]()
        relevant = (names & self._expected.providers) | self._expected.unexpected(names)
        if relevant - seen and maybe_since(before.providers, names, added):
            if after is not None:
                doubtful = relevant - seen
            else:
                since = names & set(await self._providers_since(before.at))
                if account.after is not None or not instance.target.has_last(account):
                    return await self._of_turn(account)  # By now they may be another turn's.
                seen |= since
        when = "now" if after is None else "at the next turn"
        text = f"{added} ({before.count} before the turn, {upto.count} {when})"
        final = after is not None or read.known is not None or read.all_in
        return CountLook(read, added, seen, text, final, doubtful)

    def _check(self, account: TurnAccount, after: Count | None) -> None:
        """Fail where no wait, however long, can separate this account from another one."""
        before = account.before
        error = before.error if after is None else before.error or after.error
        if error is not None:
            step = "find out why that read failed: it is not repeated"
            self._fail(f"no count to compare with: {error}", step)
        turns, settle = self._instance.target.settling, self._counting.waits.settle
        if (doubt := turns.doubt(before, settle)) is not None:
            self._fail(doubt.why, doubt.next_step)
        if after is not None and (doubt := turns.doubt(after, settle)) is not None:
            why = f"some may be missing, as the next turn began before they were in: {_ASK_FIRST}"
            self._fail(why, doubt.next_step)
        if after is None and not self._instance.target.has_last(account):
            self._fail("another client has chatted since the turn", _ASK_FIRST)

    async def _providers_since(self, begun: float) -> tuple[str, ...]:
        while True:
            # The smallest window in whole seconds that reaches back to the turn's start.
            elapsed = self._io.now() - begun
            window = math.ceil(elapsed + _SLACK)
            await self._io.sleep(window - _SLACK - elapsed)
            read = await self._reading(partial(self._counting.read, window))
            check_explained(rows_of(read.answer))
            if read.at - read.asked <= LATE:
                break
            if self._io.now() >= self._deadline:
                self._fail(TOO_LATE, IF_TOO_LATE)
        if read.answer.window_seconds > window:
            raise ContractError(
                "llm_events answered for a longer window than it was asked for",
                expected=f"window_seconds: {window}, back to the turn's start",
                got=f"window_seconds: {read.answer.window_seconds}",
                next_step="tell the router's developers: no turn's providers can be told so",
            )
        return read.answer.providers

    async def _reading(self, read: Callable[[float], Awaitable[Read]]) -> Read:
        # Allow one read even if the deadline has just passed; any other keeps to it.
        now = self._io.now()
        deadline = self._deadline if self._deadline - now > LAST_CHANCE else now + LAST_READ
        try:
            return await read(deadline)
        except HydraSmokeError as error:
            failed = error
        raise LlmEventsError(
            f"LLM events can't be counted: {failed.message}", next_step=failed.next_step
        )

    def _fail_unmet(self, now: CountLook, *, wrong: bool) -> NoReturn:
        """Fail with what was counted; what is `wrong` no wait can repair."""
        expected, account, got = self._expected, self._account, _summary(now)
        missing, in_vain = expected.providers - now.seen, False
        if now.read.known is not None:
            got = f"{got}, as recorded"
            step = f"{_RECORDED}: {now.read.known.again}"
        elif wrong:
            advice = _COUNT_A_TURNS if account is None else AGENTS_LOG
            step = f"{advice}: {_NO_HELP}"
        elif account is not None and account.after is not None:
            step = _ASK_FIRST
        elif missing and now.added >= max(expected.at_least, 1):
            step = f"enough events came, but none from {_listed(missing)}: {_WHOSE}"
        else:
            step, in_vain = f"{AGENTS_LOG}: {_NO_HELP}" if now.final else _LATE, not now.added
        self._fail(got, step, in_vain=in_vain)

    def _fail(self, got: str, next_step: str, *, in_vain: bool = False) -> NoReturn:
        words, account = "the LLM events are not as expected", self._account
        if account is not None and account.left:
            words = f"the turn was left before its end, and {words}"
            next_step = _LEFT
        elif account is not None and account.unended:
            words = f"the stream of the turn ended without a terminal event, and {words}"
            next_step = f"{_UNENDED}; else {next_step}"
        error = LlmEventsError(
            words,
            expected=str(self._expected),
            got=got,
            seconds=self._io.now() - self._start,
            next_step=next_step,
        )
        error.turn, error.in_vain = self._did, "llm_events" if in_vain else ""
        raise error


_NO_HELP = "a longer wait does not help"
_COUNT_A_TURNS = "count a turn's own (its expect_llm_events)"
_ASK_FIRST = "expect a turn's LLM events before the next chat on its instance"
_LEFT = "read the stream to its end: of a turn that is left, an agent may count nothing"
_UNENDED = (
    "see whether its reply is whole: if its runtime sends a terminal event, set "
    'chat_end = "required", and a cut reply fails by itself'
)
_LATE = (
    f"raise HYDRA_SMOKE_LLM_EVENTS_TIMEOUT if the agent reports its usage late, else {AGENTS_LOG}"
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
