"""The last look of a run: at what it deleted, at what it could not delete, at what was refused.

A proof may be of a moment only: a row comes back, a worker finishes a boot after the delete, a
router carries out what it refused. So the end of a run looks once more, a while later, over new
connections. What it does not reach is not red, unless its deletion was only seen under way: it
stays in the ledger, and is named.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from pytest_hydrasmoke._api.calls import Calls, work
from pytest_hydrasmoke._base.errors import HydraSmokeError
from pytest_hydrasmoke._core.cleanup import ask_all, carry_out, delete, to_end
from pytest_hydrasmoke._core.deletion import Deletion, Verification
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.key_machine import Ended, Result
from pytest_hydrasmoke._core.looks import named_by
from pytest_hydrasmoke._core.proof import AFTER, STILL_DELETING, refused_after
from pytest_hydrasmoke._journal.events import Conflict
from pytest_hydrasmoke._journal.states import HAS_ROW, SETTLED, State
from pytest_hydrasmoke._transport.protocol import IO, LAST_CHANCE

Look = Callable[[Calls, Instance], Awaitable[None]]
AT_ONCE = 8
"""Instances looked at at the same time."""
LOOKS, CLAIMS = 20.0, 20.0
"""Seconds for all last looks, and for all keys that were refused."""
TICK = 0.25
"""Seconds between two looks at the time that is left."""


@dataclass(frozen=True, slots=True)
class LastLook:
    """One process's last look; each part of it is a coroutine over one instance's calls."""

    now: float
    row_lag: float
    """The longest time that a row took in this run, in seconds."""

    async def at_all(self, io: IO, instances: Sequence[Instance]) -> None:
        """Look once more at every instance that needs it; what proves nothing is a note."""
        leaks = [it for it in instances if it.leak is not None]
        proved = [it for it in instances if it.leak is None and it.state is State.GONE]
        refused = [it for it in instances if it.state is State.REFUSED]
        looks = [(self.now + AFTER, self.try_again, it) for it in leaks]
        looks += [(self._due_at_proved(it), self.of_proved, it) for it in proved]
        looks += [(self._due_at_refused(it), self.of_refused, it) for it in refused]
        # What still waits takes no place of what is due before it.
        in_turn = [(look, it) for _, look, it in sorted(looks, key=itemgetter(0))]
        # A router that takes a while for a deletion then has all of the wait for it.
        await _each(io, [(ask_all, it) for it in leaks])
        await _each(io, in_turn)

    async def try_again(self, calls: Calls, instance: Instance) -> None:
        """Look once more at a leak, which was asked to be deleted before; proved, it is a note."""
        io = calls.io
        if not await _reaches(io, self.now + AFTER, math.inf):
            return
        if instance.state not in HAS_ROW:
            found = await named_by(calls, instance, io.now() + LOOKS)
            if found is None:
                return
            instance.names(found, io.now())
        if await carry_out(calls, Deletion(instance, io.now())) == Ended(Result.PROVED):
            instance.leaks(None)
            instance.add_remark("its deletion was proved only at the run's end")
            # What one look has taken back needs its last look like any other.
            await self.of_proved(calls, instance)

    async def of_proved(self, calls: Calls, instance: Instance) -> None:
        """Look at what was proved gone; what is there again is a leak, and is deleted again."""
        io, due = calls.io, self._due_at_proved(instance)
        until = max(self.now, due) + LOOKS
        doubt = "it was not reached in time"
        looked = await _reaches(io, due, until)
        if looked:
            verification = Verification(instance, until, deletes_again=not instance.was_ready)
            result, doubt = await to_end(calls, verification)
            if result is Result.RETURNED:
                await self._revived(calls, instance, doubt)
                return
        if not doubt:
            if instance.was_ready:
                instance.becomes(State.DELETED)
        elif looked and doubt != STILL_DELETING and due > (instance.settled_at or self.now) + AFTER:
            # What seemed to prove it may be a replica's that does not know it yet.
            instance.leaks(f"only a later look could have proved it, which proves nothing: {doubt}")
        else:
            instance.add_remark(f"the last look at it proves nothing: {doubt}; a sweep looks again")

    def _due_at_proved(self, instance: Instance) -> float:
        return instance.last_look_at(instance.settled_at or self.now, self.now)

    def _due_at_refused(self, instance: Instance) -> float:
        refused = instance.settled_at or self.now
        return refused + refused_after(self.row_lag)

    async def _revived(self, calls: Calls, instance: Instance, found: str) -> None:
        instance.leaks(found)
        instance.revive()
        await delete(calls, instance)
        instance.leaks(f"{found}; it was deleted once more")

    async def of_refused(self, calls: Calls, instance: Instance) -> None:
        """Ask for a key that was refused; what came of it is deleted, and the run is red."""
        io, refused = calls.io, instance.settled_at or self.now
        due = self._due_at_refused(instance)
        until = max(self.now, due) + CLAIMS
        if not await _reaches(io, due, until):
            return
        found = await named_by(calls, instance, until)
        if found is not None:
            instance.names(found, io.now())
            why = (
                "the router refused to provision it, and did it all the same: its key named it "
                f"{io.now() - refused:.0f} s later. It is deleted now.\n"
                "Tell the router's developers"
            )
            instance.note(Conflict(why))
            await delete(calls, instance)


async def _each(io: IO, looks: Sequence[tuple[Look, Instance]]) -> None:
    works = [work(look, instance) for look, instance in looks]
    for number, error in (await io.gather(works, at_once=AT_ONCE)).items():
        _note_failure(looks[number][1], error)


async def _reaches(io: IO, due: float, until: float) -> bool:
    """Wait until a look is due; return whether there is time for it: a signal shortens all."""
    while min(until, io.cleanup_deadline()) - max(due, io.now()) > LAST_CHANCE:
        if io.now() >= due:
            return True
        # A signal may come meanwhile: what is due too late for it is not waited for.
        await io.sleep(min(due - io.now(), TICK))
    return False


def _note_failure(instance: Instance, error: Exception) -> None:
    words = error.message if isinstance(error, HydraSmokeError) else repr(error)
    if instance.state in SETTLED:
        instance.add_remark(f"the last look at it proves nothing: {words}; a sweep looks again")
    else:
        instance.leaks(instance.leak or words)
