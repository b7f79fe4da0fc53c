"""Count an instance's LLM events, and open a turn's account once earlier turns' events are in.

A count is over a window that begins before the instance did, so that nothing ages out between two.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import NONE, LlmEvents, Rows, check_explained, rows_of
from pytest_hydrasmoke._base.errors import (
    ConfigError,
    ContractError,
    HydraSmokeError,
    LlmEventsError,
)
from pytest_hydrasmoke._base.run_keys import is_random
from pytest_hydrasmoke._journal.chat import Counted
from pytest_hydrasmoke._journal.events import Doing

from .account import Count, Doubt
from .instance import Instance
from .policy import SECOND_LOOK
from .settling import LEAST, USUAL, Settling, Waits

if TYPE_CHECKING:
    from pytest_hydrasmoke.fake.replay import AllAsked

RECENT = 900
"""Seconds of the router's default window."""
LAST_READ = 5.0
"""Seconds for a read that begins at the deadline, or after what was waited for."""
YEAR = 31_536_000
"""A window for an instance of unknown age; no instance lives longer."""
LATE = 1.0
"""Seconds until an answer after which nobody knows where its window begins: it counts back from
when the router reads it, also where it is asked for again after a refusal."""
TOO_LATE = f"the router's answers came more than {LATE:g} s after they were asked for"
IF_TOO_LATE = "see the router's log of its counts of LLM events: it is slow there, or refused them"
FREE = 0.02
"""Seconds between two looks at the bundled fake: they cost nothing."""
EDGE = 1.0
"""Seconds by which windows differ that should begin at one moment, as they have whole seconds."""


class Read(NamedTuple):
    """One answer of the router's to how many LLM events a window has."""

    asked: float
    at: float
    """When the answer was there."""
    answer: LlmEvents
    known: AllAsked | None
    """What a replay says of it that will count no more; None if more may come."""
    all_in: bool
    """Whether the bundled fake, asked before, has said that no more come of the turns so far."""


class Counting:
    """Counts the LLM events of one instance, and tells the run of what it has counted."""

    def __init__(self, calls: Calls, instance: Instance) -> None:
        self.calls = calls
        self.instance = instance
        self._policy = instance.policy
        lag, settle = self._policy.router.lag, self._policy.usage_settle or USUAL
        self.waits = Waits(settle, self._policy.llm_events_timeout, SECOND_LOOK)
        if lag is not None:
            settle = min(settle, lag + LEAST)
            self.waits = Waits(settle, settle, 0.0)

    @property
    def is_told(self) -> bool:
        """Whether the router itself says which rows are still to come: the fake of this process."""
        return self._policy.router.to_come is not None

    async def read(
        self, window: int, deadline: float, before: Rows = NONE, *, in_part: bool = True
    ) -> Read:
        """Read what a window has: see `Calls.count_llm_events`."""
        instance_id, to_come = self.instance.id, self._policy.router.to_come
        assert instance_id is not None
        asked, all_in = self.calls.io.now(), to_come is not None and not to_come(instance_id)
        answer, known = await self.calls.count_llm_events(
            instance_id, window, deadline=deadline, in_part=in_part, before=before
        )
        return Read(asked, self.calls.io.now(), answer, known, all_in)

    async def read_life(self, deadline: float, before: Rows = NONE) -> Read:
        """Read what the instance's whole life has."""
        while True:
            window = life_window(self.instance, self.calls.io.now())
            read = await self.read(window, deadline, before)
            # Any other window than an attached instance's begins early enough.
            if not self.instance.attached or read.at - read.asked <= LATE:
                return read
            if read.at + LATE > deadline:
                raise LlmEventsError(TOO_LATE, next_step=IF_TOO_LATE)

    def keep(self, read: Read) -> Count:
        """Keep a count of the whole life, and tell the run's processes of it: they wait by it.

        Raises `ContractError` if it is no such count: rows that leave the window between two counts
        would hide others.
        """
        instance, answer = self.instance, read.answer
        check_explained(rows_of(answer))
        start = instance.since if instance.born is None else instance.born
        age = 0.0 if start is None else read.asked - start
        if answer.window_seconds < age:
            raise ContractError(
                "llm_events answered for a shorter window than it was asked for",
                expected=f"window_seconds of {age:.0f} or more, back to the instance's first turn",
                got=f"window_seconds: {answer.window_seconds}",
                next_step="tell the router's developers: no turn's LLM events can be counted so",
            )
        instance.target.saw_count(read.at, answer.count, answer.providers)
        self.tell_run(read)
        last, count = instance.target.settling.last, Count(read.at, *rows_of(answer))
        if last is None or last.met or read.all_in or read.known is not None:
            return count
        return replace(count, waited=read.asked - last.ended, earlier=last.test)

    def tell_run(self, read: Read, *, met: bool = False) -> None:
        """Tell the run's processes of a count; `met` if the last turn's test expects just that."""
        instance = self.instance
        counted = Counted(read.answer.count, asked=read.asked, met=met)
        instance.target.run_turns.note(instance.target.turns_name, counted, read.at)

    async def now(self, timeout: float) -> Count:
        """Return the count of the instance's whole life; a failed read is kept in it."""
        io = self.calls.io
        try:
            return self.keep(await self.read_life(io.now() + timeout))
        except HydraSmokeError as error:
            return Count(io.now(), error=error.message)

    async def before_turn(self) -> Count:
        """Count before a turn, once the rows of the turn before are in: see `Settling`.

        A failed read is kept for an expectation to report; `llm_events_timeout` bounds one read.
        Raises `ConfigError` if another client has used what this run provisioned.
        """
        io, instance, settle, waiting = self.calls.io, self.instance, self.waits.settle, False
        began, since = io.now(), instance.target.settling.since
        if since is not None or instance.since is None:
            instance.since = began if since is None else since
        try:
            while True:
                asked, before = io.now(), instance.target.settling
                count = await self.now(self._policy.llm_events_timeout)
                if count.error is not None:
                    return count
                self._check_own(count, before)
                turns, strange = instance.target.settling, self._strange(before, count)
                until = -math.inf if count.waited == math.inf else turns.settled_from(self.waits)
                if strange is not None:
                    until = max(until, began + settle)
                elif asked < until:
                    hasty = turns.impatience(self._policy.usage_settle)
                    if hasty is not None:
                        return replace(count, doubt=hasty)
                if asked >= until:
                    return replace(count, doubt=strange or turns.doubt(count, settle))
                if not waiting:
                    instance.note(Doing("llm_events", until), io.now())
                    waiting = True
                await self._pause(until, turns, strange)
                if strange is not None and before.last is None:
                    instance.since = io.now()  # The second before it is the edge of all windows.
        finally:
            if waiting:
                instance.note(Doing(None), io.now())

    async def _pause(self, until: float, turns: Settling, strange: Doubt | None) -> None:
        now = self.calls.io.now()
        if strange is not None:
            step = EDGE
        else:
            step = turns.step(now) if self._policy.router.to_come is None else FREE
        await self.calls.io.sleep(min(step, until - now))

    def _check_own(self, count: Count, before: Settling) -> None:
        """Raise `ConfigError` if another client has used what this run provisioned."""
        instance = self.instance
        if before.number or not count.count or instance.attached:
            return
        step = "chat only with this run's fixtures: it can't know of other clients"
        if not is_random(str(instance.run_id)):
            step = f"give each shard a HYDRA_SMOKE_RUN_ID of its own, and {step}"
        raise ConfigError(
            f"the instance had {count.count} LLM events before this run's first chat: something "
            "else has chatted with it, or its agent calls a model by itself",
            instance=instance.name,
            next_step=step,
        )

    def _strange(self, before: Settling, count: Count) -> Doubt | None:
        """Return why a count can't bound an account yet, whatever it is; None where it can."""
        if before.last is None:
            # Windows have whole seconds: some counts would have a row at their edge, others not.
            if not self.instance.attached or not count.count:
                return None
            why = "LLM events of another client come in all the time"
            return Doubt(why, "attach to an instance that nobody else uses")
        if count.count >= before.last.counted:
            return None
        why = f"the count of LLM events went down, from {before.last.counted} to {count.count}"
        return Doubt(why, "tell the router's developers: a count of one window can only grow")

    async def for_recording(self) -> None:
        """Count the last turn's events where it is recorded: a test counts those of its instance.

        A count that is not sure, or fails, is left out of the recording.
        """
        account = self.instance.target.account
        if account is None or not account.recorded or account.before.doubt is not None:
            return
        now = await self.now(LAST_READ)
        if now.error is None and self.instance.target.has_last(account):
            account.saw(now)


def life_window(instance: Instance, now: float) -> int:
    """Return the seconds of a window that begins before the instance did.

    On an attached instance, which others may have used, it begins as the run's first turn did.
    """
    if instance.born is not None:
        return math.ceil(now - instance.born) + RECENT
    if instance.since is None or not instance.attached:
        return YEAR
    return max(math.ceil(now - instance.since), 1)
