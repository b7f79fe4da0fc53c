"""How many LLM events a turn, or an instance, has added.

A turn's own are those counted beyond its baseline, which was read just before it, over a window
that reaches back beyond the instance's birth, so that nothing ages out between two reads. Absent
is not zero: a count that could not be read is an error, never "no events".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any, NoReturn

from ._calls import Calls
from ._errors import HydraSmokeError, LlmEventsError, own_frames
from ._lifecycle import phase, poll_interval
from ._models import LlmEvents
from ._redact import safe_line
from ._timeline import Baseline, InstanceRecord
from ._wire import LAST_CHANCE

__tracebackhide__ = own_frames

RECENT = 900
"""Seconds of the router's default window."""
YEAR = 31_536_000
"""A window for an instance whose age is not known; none lives that long."""
LAST_READ = 5.0
"""Seconds that a read gets which begins when the deadline has come."""
SECOND_LOOK = 2.0
"""Seconds until the count is read once more where there may be too many: duplicates come late."""
# A window has whole seconds: this much of one may reach back before the turn.
_SLACK = 0.02


@dataclass(frozen=True, slots=True)
class Expected:
    """What there should be: events from `at_least` to `at_most`, and every one of `providers`."""

    at_least: int = 1
    at_most: int | None = None
    providers: frozenset[str] = frozenset()

    def __str__(self) -> str:
        most = "" if self.at_most is None else f" and at most {self.at_most}"
        named = f", {' and '.join(sorted(self.providers))} among them" if self.providers else ""
        return f"at least {self.at_least}{most} LLM events{named}"

    def too_many(self, added: int) -> bool:
        """Tell whether no later read can make it right again."""
        return self.at_most is not None and added > self.at_most

    def met(self, added: int, seen: Collection[str]) -> bool:
        """Tell whether nothing is missing."""
        return added >= self.at_least and self.providers <= set(seen)


def surely_since(before: Collection[str], now: Collection[str], added: int) -> frozenset[str]:
    """Name the providers that must be among the `added` events, from the names alone."""
    if added <= 0:
        return frozenset()
    new = frozenset(now) - frozenset(before)
    return frozenset(now) if len(frozenset(now)) == 1 else new


def maybe_since(before: Collection[str], now: Collection[str], added: int) -> bool:
    """Tell whether providers known before may be among the `added` events as well."""
    return added > len(frozenset(now) - frozenset(before))


def life_window(record: InstanceRecord, now: float) -> int:
    """Give the seconds that reach back beyond the instance's birth."""
    return YEAR if record.born is None else math.ceil(now - record.born) + RECENT


async def read_baseline(calls: Calls, record: InstanceRecord, timeout: float) -> Baseline:
    """Count before a turn; a failure is kept, for `expect_of_turn` to tell."""
    assert record.id is not None
    now = calls.io.now()
    try:
        read = await calls.llm_events(record.id, life_window(record, now), deadline=now + timeout)
    except HydraSmokeError as error:
        return Baseline(calls.io.now(), error=error.message)
    record.saw_count(calls.io.now(), read.count, read.providers)
    return Baseline(calls.io.now(), read.count, frozenset(read.providers))


@dataclass(frozen=True, slots=True)
class Look:
    """One reading: what was added, by whom, and whether time can change it."""

    answer: LlmEvents
    added: int
    seen: frozenset[str]
    told: str
    final: bool = False


class Usage:
    """The LLM events of one instance, read until they are as expected."""

    def __init__(self, calls: Calls, record: InstanceRecord, timeout: float) -> None:
        self._calls = calls
        self._io = calls.io
        self._record = record
        self._start = calls.io.now()
        self._deadline = self._start + timeout

    async def of_window(self, expected: Expected) -> LlmEvents:
        """Expect events in the last 900 s; raises `LlmEventsError`."""

        async def look() -> Look:
            answer = await self._read(RECENT)
            told = f"{answer.count} in the last {RECENT} s"
            return Look(answer, answer.count, frozenset(answer.providers), told)

        return await self._until_met(expected, look)

    async def of_turn(self, expected: Expected, index: int) -> LlmEvents:
        """Expect events of the turn number `index`, from 0; raises `LlmEventsError`."""
        before = self._record.baselines[index]

        async def look() -> Look:
            window = life_window(self._record, self._io.now())
            answer = await self._read(window)
            self._record.saw_count(self._io.now(), answer.count, answer.providers)
            # Read after the answer: a turn that began meanwhile bounds this one.
            after = self._record.baselines[index + 1 : index + 2]
            for baseline in (before, *after):
                if baseline.error is not None:
                    self._fail(expected, f"no count to compare with: {baseline.error}")
            upto = after[0].count if after else answer.count
            names = after[0].providers if after else frozenset(answer.providers)
            added = upto - before.count
            seen = surely_since(before.providers, names, added)
            missing = (expected.providers - seen) & names
            if missing and maybe_since(before.providers, names, added):
                seen |= names & set(await self._providers_since(before.at))
            when = "at the next turn" if after else "now"
            told = f"{added} ({before.count} before the turn, {upto} {when})"
            return Look(answer, added, seen, told, final=bool(after))

        return await self._until_met(expected, look)

    async def _until_met(
        self, expected: Expected, look: Callable[[], Coroutine[Any, Any, Look]]
    ) -> LlmEvents:
        io, looked_twice = self._io, False
        with phase("llm_events", io, self._record, deadline=self._deadline):
            while True:
                now = await look()
                if not expected.too_many(now.added) and expected.met(now.added, now.seen):
                    if expected.at_most is None or looked_twice or now.final:
                        return now.answer
                    looked_twice = True
                    await io.sleep(SECOND_LOOK)
                    continue
                hopeless = expected.too_many(now.added) or now.final
                if hopeless or io.now() >= self._deadline:
                    names = ", ".join(sorted(map(safe_line, now.seen))) or "nobody"
                    self._fail(expected, f"{now.told}, from {names}")
                left = self._deadline - io.now()
                await io.sleep(min(poll_interval(io.now() - self._start), left))

    async def _providers_since(self, begun: float) -> tuple[str, ...]:
        # The smallest whole window that reaches back to the turn's beginning, and hardly further.
        elapsed = self._io.now() - begun
        window = math.ceil(elapsed + _SLACK)
        await self._io.sleep(window - _SLACK - elapsed)
        return (await self._read(window)).providers

    async def _read(self, window: int) -> LlmEvents:
        assert self._record.id is not None
        # One read is granted even where the deadline has just passed; any other keeps to it.
        now = self._io.now()
        deadline = self._deadline if self._deadline - now > LAST_CHANCE else now + LAST_READ
        try:
            return await self._calls.llm_events(self._record.id, window, deadline=deadline)
        except HydraSmokeError as error:
            failed = error
        raise LlmEventsError(
            f"LLM events can't be counted: {failed.message}", next_step=failed.next_step
        )

    def _fail(self, expected: Expected, got: str) -> NoReturn:
        raise LlmEventsError(
            "the LLM events are not as expected",
            expected=str(expected),
            got=got,
            seconds=self._io.now() - self._start,
            next_step="raise HYDRA_SMOKE_LLM_EVENTS_TIMEOUT if the agent reports its usage late, "
            "else see the agent's log of this turn",
        )
