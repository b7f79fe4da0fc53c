"""Count an instance's LLM events, and open a turn's account once earlier turns' events are in.

A count is over a window that begins before the instance did, so that nothing ages out between two.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

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
from .settling import USUAL, Settling

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


class Counting:
    """Counts the LLM events of one instance, and tells the run of what it has counted."""

    def __init__(self, calls: Calls, instance: Instance) -> None:
        self.calls = calls
        self.instance = instance
        self._policy = instance.policy
        self.limit = self._policy.usage_settle or USUAL
        """Seconds after its end when any turn is settled."""

    async def read(
        self, window: int, deadline: float, *, in_part: bool = True, before: Rows = NONE
    ) -> tuple[LlmEvents, AllAsked | None]:
        """Read what a window has: see `Calls.count_llm_events`."""
        assert self.instance.id is not None
        return await self.calls.count_llm_events(
            self.instance.id, window, deadline=deadline, in_part=in_part, before=before
        )

    async def read_life(
        self, deadline: float, *, before: Rows = NONE
    ) -> tuple[float, LlmEvents, AllAsked | None]:
        """Read what the instance's whole life has, and when it was asked for."""
        io = self.calls.io
        while True:
            asked = io.now()
            answer, known = await self.read(
                life_window(self.instance, asked), deadline, before=before
            )
            # Any other window than an attached instance's begins early enough.
            if not self.instance.attached or io.now() - asked <= LATE:
                return asked, answer, known
            if io.now() + LATE > deadline:
                raise LlmEventsError(TOO_LATE, next_step=IF_TOO_LATE)

    def keep(self, answer: LlmEvents, asked: float) -> None:
        """Keep a count of the instance's whole life; raises `ContractError` if it is not that.

        Rows that leave the window between two counts would hide others.
        """
        instance = self.instance
        start = instance.since if instance.born is None else instance.born
        age = 0.0 if start is None else asked - start
        if answer.window_seconds < age:
            raise ContractError(
                "llm_events answered for a shorter window than it was asked for",
                expected=f"window_seconds of {age:.0f} or more, back to the instance's first turn",
                got=f"window_seconds: {answer.window_seconds}",
                next_step="tell the router's developers: no turn's LLM events can be counted so",
            )
        instance.saw_count(self.calls.io.now(), answer.count, answer.providers)

    async def now(self, timeout: float) -> Count:
        """Return the count of the instance's whole life; a failed read is kept in it."""
        io = self.calls.io
        all_in = self.all_in()
        try:
            asked, read, known = await self.read_life(io.now() + timeout)
            check_explained(rows_of(read))
            self.keep(read, asked)
        except HydraSmokeError as error:
            return Count(io.now(), error=error.message)
        providers = frozenset(read.providers)
        return Count(io.now(), read.count, providers, all_counted=all_in or known is not None)

    def tell_run(self, asked: float, at: float, count: int) -> None:
        """Tell all processes of the run of such a count: they wait by it."""
        instance, last = self.instance, self.instance.settling.last
        if last is not None:
            seen = Counted(count, asked=asked, whole=asked >= last.ended + self.limit)
            instance.run_turns.note(instance.turns_name, seen, at)

    def all_in(self) -> bool:
        """Ask a router that knows whether all LLM events of the turns so far are written.

        Asked before a count, which then has all of them.
        """
        assert self.instance.id is not None
        to_come = self._policy.router.to_come
        return to_come is not None and not to_come(self.instance.id)

    async def before_turn(self) -> Count:
        """Count before a turn, once the turn before is settled: at most `usage_settle` s later.

        A failed read is kept for an expectation to report; `llm_events_timeout` bounds one read.
        What `to_come` says is not to come is not waited for. Raises `ConfigError` if another client
        has used what this run provisioned.
        """
        io, instance, waiting = self.calls.io, self.instance, False
        began = io.now()
        if instance.settling.since is not None:
            instance.since = instance.settling.since
        elif instance.since is None:
            instance.since = began
        try:
            while True:
                asked, before = io.now(), instance.settling
                baseline = await self.now(self._policy.llm_events_timeout)
                if baseline.error is not None:
                    return baseline
                self._check_own(baseline)
                self.tell_run(asked, baseline.at, baseline.count)
                strange = self._strange(before, baseline)
                if baseline.all_counted and strange is None:
                    return baseline
                turns, settle = instance.settling, self._policy.usage_settle
                until = turns.settled_from(self.limit)
                doubt = strange or turns.doubt(settle, asked=asked, until=until)
                if strange is not None:
                    until = max(until, began + self.limit)
                if asked >= until or (doubt is not None and strange is None):
                    return replace(baseline, doubt=doubt)
                if not waiting:
                    instance.note(Doing("llm_events", until), io.now())
                    waiting = True
                await self._pause(until, strange)
                if strange is not None and before.last is None:
                    instance.since = io.now()  # The second before it is the edge of all windows.
        finally:
            if waiting:
                instance.note(Doing(None), io.now())

    async def _pause(self, until: float, strange: Doubt | None) -> None:
        now = self.calls.io.now()
        if strange is not None:
            again = min(until, now + EDGE)
        elif self._policy.router.to_come is not None:
            again = min(until, now + FREE)
        else:
            again = self.instance.settling.next_look(self.limit, now)
        await self.calls.io.sleep(again - now)

    def _check_own(self, baseline: Count) -> None:
        instance = self.instance
        # An attached instance may have been used before.
        if instance.settling.number or not baseline.count or instance.attached:
            return
        step = "chat only with this run's fixtures: it can't know of other clients"
        if not is_random(str(instance.run_id)):
            step = f"give each shard a HYDRA_SMOKE_RUN_ID of its own, and {step}"
        raise ConfigError(
            f"the instance had {baseline.count} LLM events before this run's first chat: something "
            "else has chatted with it, or its agent calls a model by itself",
            instance=instance.name,
            next_step=step,
        )

    def _strange(self, before: Settling, baseline: Count) -> Doubt | None:
        """Return why a count can't be a baseline yet, whatever it is; None where it can."""
        if before.last is None:
            # Windows have whole seconds: some counts would have a row at their edge, others not.
            if not self.instance.attached or not baseline.count or before.number:
                return None
            why = "LLM events of another client come in all the time"
            return Doubt(why, "attach to an instance that nobody else uses")
        if baseline.count >= before.last.counted:
            return None
        why = f"the count of LLM events went down, from {before.last.counted} to {baseline.count}"
        return Doubt(why, "tell the router's developers: a count of one window can only grow")

    async def for_recording(self) -> None:
        """Count the last turn's events where it is recorded: a test counts those of its instance.

        A count that is not sure, or fails, is left out of the recording.
        """
        account = self.instance.account
        if account is None or not account.recorded or account.before.doubt is not None:
            return
        now = await self.now(LAST_READ)
        if now.error is None and self.instance.has_last(account):
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
