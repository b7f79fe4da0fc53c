"""The keys of a sweep, each from the first question to the last look, a step at a time.

Each has its next step when that is due, a few at a time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.errors import HydraSmokeError
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._core.cleanup import carry_out
from pytest_hydrasmoke._core.deletion import Deletion, Verification
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.key_machine import Ended, KeyMachine, Result, Wait
from pytest_hydrasmoke._core.looks import look, named
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.proof import STILL_DELETING, refused_after
from pytest_hydrasmoke._core.stage import Keeper
from pytest_hydrasmoke._journal.events import Alive, Event
from pytest_hydrasmoke._journal.known_instance import KnownInstance
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import IO, drive

from .swept_run import SweptRun

AT_ONCE = 8
"""Keys that take a step at the same time."""
LAST = 10.0
"""Seconds for a last look."""
BOOT = 60.0
"""Seconds for which a boot may go on after its deletion, at least."""
DELETING_FOR = 600.0
"""Seconds for which a sweep accepts that a deletion is still under way."""
_LOOKED_AT = frozenset({State.REFUSED, State.GONE})
"""States of which nothing is left unless the router has changed its mind."""


class End(Enum):
    """How the sweep of a key ends: the word of its line, and what sweeps after it know of the key.

    Where that is nothing, something is left, as far as anybody can know by now.
    """

    DELETED = "deleted", State.DELETED
    """This sweep has deleted it."""
    GONE = "gone", State.DELETED
    """It was gone before this sweep."""
    BOOTING = "booting", State.GONE
    """It was deleted in its boot, which may still go on: a later sweep looks again."""
    UNDER_WAY = "deleting", State.DELETING
    """The router is still deleting it: a later sweep looks again."""
    NOTHING = "nothing", State.ABSENT
    """There is no row, and none is to come."""
    UNSURE = "unsure", None
    """There is no row, and one may come."""
    LEFT = "LEFT", None

    def __init__(self, word: str, learned: State | None) -> None:
        self.word = word
        self.learned = learned


class _Proved(NamedTuple):
    """What a sweep knew of a key as its last look began."""

    at: float
    booting: bool
    """Whether it was deleted in a boot that may still go on."""
    ids: list[str]
    asked: bool
    """Whether the router had accepted a delete of this sweep, or of its run."""


class SweptKey(Keeper[Instance]):
    """One key of a run."""

    def __init__(
        self,
        key: str,
        run: SweptRun,
        known: KnownInstance | None,
        policy: Policy,
        row_settle: float,
    ) -> None:
        self.key = key
        self.run = run
        self.known = known
        """What a ledger, or an earlier sweep, knows of it."""
        self.due = 0.0
        """When its next step is due, on the IO's clock."""
        self.end: End | None = None
        self.words = ""
        self._told = None if known is None else known.state
        rowless = known is not None and not known.had_row and known.state is not State.REFUSED
        waits = rowless and not run.ended
        self.policy = policy if waits else dataclasses.replace(policy, row_wait=0.0)
        self._row_settle = row_settle
        self.instance = Instance(None, key=key, state=State.REQUESTED, keeper=self)
        self._blind = known is not None and known.other_token
        """Whether the run's own token, which the sweep has, may see nothing of it."""
        if known is not None and not self._blind:
            self.instance.take_over(known)
            self.instance.lasted += run.age_of(key)
            # The state says what to do first; an id of another answer is not trusted.
            self.instance.id = known.ids[-1] if known.ids else None
            self.instance.state = State.GONE if known.had_row else State.REQUESTED
        self._began = math.inf
        """When its first step began, on the IO's clock."""
        self._machine: KeyMachine | None = None
        self._proved: _Proved | None = None
        """What was known as its last look began; None before that."""
        self._is_proved = self._twice = self._was_alive = False
        """`_twice`: whether its one repetition has been used."""

    @property
    def settled(self) -> bool:
        """Whether nothing was left of it, as far as was known before this sweep."""
        return self._told is None or self._told in _LOOKED_AT

    @property
    def remark(self) -> str:
        """What somebody may want to know who has left it on purpose."""
        return ": it was kept" if self._told is State.KEPT else ""

    @property
    def waits(self) -> bool:
        """Whether a row may still come, which is waited for."""
        return self.policy.row_wait > 0

    @property
    def found(self) -> bool:
        """Whether its key has named an instance."""
        return bool(self.instance.ids)

    def note(self, instance: Instance, at: float, event: Event) -> None:
        """Enter what no ledger has: a later sweep may have to look again."""
        if self.known is None and instance.ids:
            self.known = self.run.found(self.key, instance.ids)
        if isinstance(event, Alive):
            self._note_alive()

    async def step(self, io: IO) -> None:
        """Take the next step; at the end of all steps there is an `end`."""
        calls, asked = Calls(io, self.instance), io.now()
        self._began = min(self._began, asked)
        if self._machine is None:
            begins = self._verify if self._is_proved else self._begin
            self._machine = await begins(calls, asked)
        match await carry_out(calls, self._machine):
            case Wait(until):
                self.due = until
            case Ended(Result.PROVED):
                self._machine, self._is_proved = None, True
                self.due = self.instance.last_look_at(io.now(), self._began)
            case Ended(Result.UNPROVED, why):
                self._is_left(why)
            case Ended(Result.NO_ROW):
                self._has_no_row(asked)  # What came since then was not looked for.
            case Ended(Result.VERIFIED):
                self._is_verified()
            case Ended(Result.DOUBTED, why):
                self._is_doubted(why)
            case returned:
                self._is_back(returned.why)

    def fails(self, error: Exception) -> None:
        """Come to an end because a step has failed."""
        self._is_left(error.message if isinstance(error, HydraSmokeError) else repr(error))

    def _is_left(self, words: str) -> None:
        if self.instance.vanished:
            words += "; once you know that nothing of its run is left, delete "
            words += str(self.run.folder)
        self.ends(End.LEFT, words)

    def ends(self, end: End, words: str = "") -> None:
        """Come to an end."""
        self.end, self.words = end, words

    async def _begin(self, calls: Calls, now: float) -> Deletion:
        """Look before a delete of this sweep hides what is there."""
        instance = self.instance
        deletion = Deletion(instance, now)
        if not instance.was_ready and instance.state is State.GONE:
            with contextlib.suppress(HydraSmokeError):
                # Its boot may be over by now.
                await named(calls, instance, now + LAST)
        if self._deleting_for(now) > 0:
            for known in instance.known_ids:
                seen = await look(calls, instance, known, now + LAST)
                if seen.says == "alive":
                    instance.note(Alive())
                    instance.evidence.forget()
        return deletion

    def _note_alive(self) -> None:
        """Count the age of its deletion from the next delete on."""
        if not self._was_alive:
            self._was_alive = True
            self.run.saw_alive(self.key)

    async def _verify(self, _: Calls, now: float) -> Verification:
        """Begin the last look."""
        instance = self.instance
        seen = [instance.evidence[it] for it in instance.known_ids]
        self._proved = _Proved(
            now,
            booting=self._is_booting(now),
            ids=instance.known_ids,
            asked=any(one.accepted and not one.found_nothing for one in seen),
        )
        # A boot that is over by now was perhaps not when this sweep's first delete came.
        again = self._is_booting(self._began)
        return Verification(instance, now + LAST, deletes_again=again)

    def _is_back(self, why: str) -> None:
        if self._proved is not None and self.instance.known_ids != self._proved.ids:
            self._note_alive()  # What its key names now was not deleted before.
        if self._twice:
            return self._is_left(why)
        # Once more from the start: an instance that keeps coming back is left.
        self._twice, self._is_proved, self._machine = True, False, None
        self.instance.revive()
        self.words = why
        return None

    def _is_doubted(self, doubt: str) -> None:
        assert self._proved is not None
        if doubt != STILL_DELETING:
            return self.ends(End.LEFT, f"proved gone, but the last look is no proof: {doubt}")
        seconds = self._deleting_for(self._proved.at)
        if seconds < DELETING_FOR:
            wait = math.ceil(DELETING_FOR - seconds)
            return self.ends(End.UNDER_WAY, f"the router is still at it; sweep in {wait} s")
        words = f"still deleting after {seconds // 60:.0f} min; ask who runs the router"
        return self.ends(End.LEFT, words)

    def _is_verified(self) -> None:
        proved, instance = self._proved, self.instance
        assert proved is not None
        if proved.booting:
            return self._boot_ends(proved.at)
        refused = [instance.evidence[it].refused for it in instance.known_ids]
        if not instance.was_ready and (why := next(filter(None, refused), None)):
            # What goes on with a boot shows in no look: only a delete ends it, after the boot.
            return self.ends(End.LEFT, f"deleted in its boot, and not after it: {why}")
        return self.ends(End.DELETED if proved.asked else End.GONE)

    def _boot_ends(self, now: float) -> None:
        wait = math.ceil(self._boot - self._age(now))
        self.ends(End.BOOTING, f"was booting, deleted; sweep again in {wait} s")

    @property
    def _boot(self) -> float:
        """How long after its request a boot may go on, in seconds.

        Twice as long as boots of its run have taken, and as it was seen to go on, by this sweep or
        the first one that deleted it then; a slow one at least as long as a run waits for it.
        """
        seen, before = self.instance.booted, self.run.booting.get(self.key)
        if before is not None:
            age = self.run.age_of(self.key) - before
        else:
            age = 0.0 if seen is None else self._age(seen)
        least = BOOT if age < BOOT else self.policy.ready_timeout
        return max(least, 2 * self.run.reading.boot, 2 * age)

    def _is_booting(self, now: float) -> bool:
        """Return whether it was deleted in a boot that may still go on."""
        return not self.instance.was_ready and self._age(now) < self._boot

    def _age(self, now: float) -> float:
        """Return the seconds since its request, at least."""
        return self.run.age_of(self.key) + (now - self._began)

    def _deleting_for(self, now: float) -> float:
        """Return the seconds since its first delete after which it was not seen alive."""
        before = self.run.deleting_for(self.key, self.instance.known_ids)
        return before + (now - self._began) if before else 0.0

    def _has_no_row(self, now: float) -> None:
        known, age = self.known, self._age(now)
        if known is None:
            return self.ends(End.NOTHING)
        if self._blind and known.state is State.GONE and self.run.ended:
            # Its run has proved that, and looked once more, with the token that made it.
            return self._boot_ends(now) if self._is_booting(now) else self.ends(End.NOTHING)
        if self._blind and known.state is not State.REFUSED:
            return self.ends(
                End.UNSURE, "a test asked for it with another token: ask with that one"
            )
        if known.state is State.REFUSED:
            least = refused_after(self.run.reading.row_lag)
            if age < least and not self._twice:
                self._twice, self._machine, self.due = True, None, now + least - age
                return None
            return self.ends(End.NOTHING)
        if age >= self._row_settle:
            return self.ends(End.NOTHING)
        # Rounded up: a sweep that begins earlier would still be unsure.
        again = f"sweep again in {math.ceil(self._row_settle - age)} s"
        return self.ends(End.UNSURE, f"no row yet, one may come; {again}")

    @property
    def line(self) -> str:
        """What to say of it."""
        assert self.end is not None
        words = f": {safe_line(self.words)}" if self.words else ""
        return f"{self.end.word:<8} {safe_line(self.instance.name)}{self.remark}{words}"


class Rounds:
    """The keys of a sweep, until each of them has an end."""

    def __init__(self, io: SyncIO) -> None:
        self._io = io
        self.pending: list[SweptKey] = []
        self.found: set[str] = set()
        """The keys that had a row."""

    def next(self) -> list[SweptKey]:
        """Let what is due take a step, or wait for the first; return what has come to its end."""
        io = self._io
        due = [it for it in self.pending if it.due <= io.now()]
        if due:
            self._step(due)
        else:
            drive(io.sleep(min(it.due for it in self.pending) - io.now()))
        self.found |= {it.key for it in due if it.found}
        self.pending = [it for it in self.pending if it.end is None]
        return [it for it in due if it.end is not None]

    def _step(self, due: Sequence[SweptKey]) -> None:
        try:
            failures = drive(self._io.gather([it.step for it in due], at_once=AT_ONCE))
        except BaseException:
            for it in due:
                it.end = None  # It may have been cut off, and nobody was told of its end.
            raise
        for number, error in failures.items():
            due[number].fails(error)
