"""The deletion of what one key names, a step at a time; `proof` judges what was seen.

The answer to a delete proves nothing: looks show whether an instance is gone, and whether its key
now names another one. A run and a sweep take the same steps.
"""

from __future__ import annotations

import contextlib
import math

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import plain_id, same_id
from pytest_hydrasmoke._base.errors import LeakError
from pytest_hydrasmoke._base.evidence import NOT_FOUND
from pytest_hydrasmoke._base.run_keys import is_random
from pytest_hydrasmoke._journal.events import Alive, Became, Conflict, Doing, Vanished
from pytest_hydrasmoke._journal.states import HAS_ROW, State
from pytest_hydrasmoke._transport.protocol import LAST_CHANCE

from .instance import Instance
from .looks import DoubtError, conclusive, look, named
from .policy import poll_interval
from .proof import NEXT_LOOK, VANISHED, Look, Verdict, judge

UNDER_WAY_LOOKS = 3
"""How often a last look sees a deletion under way until it stops looking."""
OUT_OF_SIGHT = "it died, or the router has lost sight of it"
FIRST_LOOK = 5.0
"""Seconds to find out whether an instance is gone before this run deletes it."""


class NoRowError(LeakError):
    """Raised when the router proved that it has no row for a key: one may still come."""


class Deletion:
    """The deletion of all that one key names, a step at a time.

    A step raises `LeakError` where its time is up; what it has seen stays in the instance.
    """

    def __init__(self, instance: Instance, start: float) -> None:
        self._instance = instance
        self._policy = instance.policy
        self._start = start
        self._row_until = start + instance.policy.row_wait
        # Without a row an id proves nothing: a delete would find nothing, and so seem to be done,
        # while a worker is still about to insert the row.
        self._deadline: float | None = None
        self._ids = list[str]()
        self._vanished = False
        """Whether the first DELETE of one of them has found nothing."""
        self._gone_before = False
        """Whether it was gone before this run deleted it."""
        if instance.state in HAS_ROW:
            self._has_row(start)
        elif instance.state is State.GONE:
            self._begin(start)

    def _has_row(self, now: float, named: str | None = None) -> None:
        """Begin to delete: the key has a row, which names an instance, or had one before."""
        instance = self._instance
        if named is not None:
            # What was answered before there was a row proves nothing.
            instance.evidence.forget()
            instance.names(named, now)
        self._begin(now)
        # The phase has begun; its deadline is known now.
        instance.note(Doing("delete", self._deadline), now)

    def _begin(self, now: float) -> None:
        self._start, self._deadline = now, now + self._policy.delete_timeout
        self._ids = self._instance.known_ids

    async def look_first(self, calls: Calls) -> None:
        """Check whether it is gone before this run deletes it: then something else did.

        Not after a signal, nor where a sweep has declared the run over: that sweep deleted it.
        """
        instance, io = self._instance, calls.io
        if instance.id is None or io.cleanup_deadline() < math.inf:
            return
        # Taken from the deletion's own time.
        seconds = min(FIRST_LOOK, self._policy.delete_timeout / 4)
        seen = await look(calls, self._instance, instance.id, io.now() + seconds)
        is_alone = not instance.keeper.was_swept
        self._gone_before = is_alone and seen.says_gone and instance.owns(seen.named)

    async def ask_all(self, calls: Calls) -> None:
        """Send a delete for every id that is known, and look for nothing but an unseen row.

        What has no row yet is left to `step`: were it deleted as its row comes, nobody could tell
        it from one whose row is still to come.
        """
        now = calls.io.now()
        deadline = now + self._policy.delete_timeout
        if self._deadline is None:
            # The deletes need most of the time that there is.
            left = min(deadline, calls.io.cleanup_deadline()) - now
            until = now + min(FIRST_LOOK, left / 4)
            with contextlib.suppress(DoubtError):
                found = await named(calls, self._instance, until)
                if found.instance_id is None:
                    return
                self._has_row(calls.io.now(), found.instance_id)
        for known in self._instance.known_ids:
            await self._ask(calls, known, deadline)

    async def step(self, calls: Calls) -> float | None:
        """Ask and look once, and judge; return the seconds until the next step, None at the end."""
        if self._deadline is None:
            pause = await self._find_row(calls)
            if pause is not None:
                return pause
        assert self._deadline is not None
        io, reason, soon = calls.io, "", math.inf
        for instance_id in list(self._ids):
            unproved = await self._go_on(calls, instance_id, self._deadline)
            if unproved is None:
                self._ids.remove(instance_id)
            else:
                reason, at = unproved
                soon = min(soon, at)
        if not self._ids and self._vanished:
            raise LeakError(f"{VANISHED}: {_who(self._instance.run_id, OUT_OF_SIGHT)}")
        if not self._ids:
            if self._gone_before:
                words = f"it was gone before this run deleted it: {_who(self._instance.run_id)}"
                self._instance.note(Conflict(words))
            self._instance.is_gone(io.now(), ends=self._policy.router.fake)
            return None
        now = io.now()
        left = min(self._deadline, io.cleanup_deadline()) - now - LAST_CHANCE
        if left <= 0:
            reason = reason or "its key names another instance each time"
            raise LeakError(f"{reason} {now - self._start:.0f} s after the delete")
        # An id that its key names only now is next at once.
        return 0.0 if soon == math.inf else min(max(soon - now, 0.0), left)

    async def _go_on(
        self, calls: Calls, instance_id: str, deadline: float
    ) -> tuple[str, float] | None:
        """Go on with one instance; return why it is not proved gone, and when to look again."""
        instance, router = self._instance, self._policy.router
        before = self._judge(instance_id)
        seen, verdict = await self._see(calls, instance_id, deadline, ask=before.ask)
        if seen.named is not None and not instance.owns(seen.named):
            # This is the key's instance now.
            instance.names(seen.named, seen.at)
            instance.add_remark(f"its key now names {seen.named}: deleted too")
            self._ids.append(seen.named)
        if verdict.vanished:
            self._vanished = True
            return None
        if not verdict.proved:
            now = calls.io.now()
            return verdict.why, verdict.next_look or now + poll_interval(now - self._start)
        if verdict.kept_row and not router.keeps_rows:
            router.keeps_rows = True
            instance.add_remark(
                f"the router keeps the row of a deleted instance: {seen.why}. It counts as gone "
                "once that has held, and a further delete has found nothing"
            )
        return None

    async def _see(
        self, calls: Calls, instance_id: str, deadline: float, *, ask: bool, last: bool = False
    ) -> tuple[Look, Verdict]:
        """Send a delete if one is due, look, and judge."""
        evidence = self._instance.evidence
        if ask:
            await self._ask(calls, instance_id, deadline)
        found = await look(calls, self._instance, instance_id, deadline)
        evidence[instance_id] = evidence[instance_id].saw(found)
        if found.says == "alive":
            self._instance.note(Alive())
        return found, self._judge(instance_id, last=last)

    def _judge(self, instance_id: str, *, last: bool = False) -> Verdict:
        policy, seen = self._policy, self._instance.evidence[instance_id]
        return judge(
            seen,
            keeps_rows=policy.router.keeps_rows,
            patient=policy.patient,
            vanished=self._has_vanished(instance_id),
            last=last,
        )

    def _has_vanished(self, instance_id: str) -> bool:
        """Return whether it was seen alive, and its first DELETE found nothing.

        One that its key has another name for by now has not vanished.
        """
        instance = self._instance
        is_current = same_id(instance_id, instance.id)
        return is_current and any(same_id(it, instance_id) for it in instance.vanished)

    async def _ask(self, calls: Calls, instance_id: str, deadline: float) -> None:
        """Send a delete; its outcome is checked by looks."""
        instance, now = self._instance, calls.io.now()
        seen = instance.evidence
        is_first, unknown = not seen.asked and not self._policy.patient, seen.unknown_deletes
        seen.asked = True
        # Half of the time: a router may delete and fail to say so, and status needs the rest.
        half = now + max((deadline - now) / 2, LAST_CHANCE)
        try:
            code = await conclusive(calls.ask_to_delete(instance_id, deadline=half))
        except DoubtError as doubt:
            instance.add_remark(doubt.message)
            seen[instance_id] = seen[instance_id].unanswered(calls.io.now(), doubt.message)
            return
        accepted = code < 300
        seen[instance_id] = seen[instance_id].answered(calls.io.now(), accepted=accepted)
        found_nothing = code in NOT_FOUND and plain_id(instance_id) in seen.alive
        is_known = seen.unknown_deletes == unknown and not instance.keeper.was_swept
        if is_first and found_nothing and is_known:
            instance.note(Vanished(instance_id))
        elif accepted:
            instance.vanished = [it for it in instance.vanished if not same_id(it, instance_id)]
        # What is written names its id: one that was not asked for has accepted nothing.
        last = same_id(instance_id, instance.id) and not instance.accepted
        if accepted and last and instance.state in HAS_ROW:
            instance.note(Became(State.DELETING, instance.id))

    async def look_again(self, calls: Calls, until: float, *, ask: bool) -> str | None:
        """Look once more at all that was proved gone; return why that can't be told for certain.

        With `ask`, a further delete follows, whatever comes of it: before the look it might hide
        what is there. Raises `LeakError` for what is there again.
        """
        doubts: list[str] = []
        for known in self._instance.known_ids:
            # Each is judged by itself: a doubt about one says nothing of the others.
            doubt = await self._look_again_at(calls, known, until)
            doubts += [] if doubt is None else [doubt]
            if ask:
                await self._ask(calls, known, until)
        return "; ".join(dict.fromkeys(doubts)) or None

    async def _look_again_at(self, calls: Calls, known: str, until: float) -> str | None:
        io, verdict, under_way = calls.io, Verdict(), 0
        held = self._instance.evidence[known].held
        while True:
            # The first look is before any delete, which might hide what is there.
            seen, verdict = await self._see(calls, known, until, ask=verdict.ask, last=True)
            if seen.says == "alive":
                raise LeakError(f"it was proved gone, and is there again: {seen.why}")
            if seen.named is not None and not self._instance.owns(seen.named):
                # Its key may name it this once: it is deleted all the same.
                self._instance.names(seen.named, seen.at)
                why = f"it was proved gone, and is there again: its key names {seen.named}"
                raise LeakError(why)
            if verdict.proved:
                return None
            # One that goes on is not waited for, but one that is only said ends soon.
            under_way += seen.says == "under way"
            if seen.says == "nothing" and not under_way and held and held[0] == "under way":
                # A router may say so of a deletion that it drops: one such word proves nothing.
                raise LeakError(f"its deletion was seen under way, and not its end: {verdict.why}")
            again = verdict.next_look or io.now() + NEXT_LOOK
            if seen.says == "nothing" or under_way == UNDER_WAY_LOOKS or again > until:
                return verdict.why
            await io.sleep(max(again - io.now(), 0.0))

    async def _find_row(self, calls: Calls) -> float | None:
        """Look for the key's row; return the seconds until the next look, None once it is there."""
        io = calls.io
        try:
            last = max(self._row_until, io.now() + self._policy.last_look)
            found = await named(calls, self._instance, last)
        except DoubtError as error:
            reason = LeakError(error.message)
        else:
            if found.instance_id is not None:
                self._has_row(io.now(), found.instance_id)
                return None
            reason = NoRowError(f"{_of_request(self._instance)}, but shows no instance for its key")
        left = min(self._row_until, io.cleanup_deadline()) - io.now() - LAST_CHANCE
        if left > 0:
            return min(poll_interval(io.now() - self._start), left)
        if io.cleanup_deadline() < self._row_until:
            raise LeakError("a signal came before a row for its key did")
        raise reason


def _who(run_id: str | None, else_: str = "or it died") -> str:
    """Return who may have deleted it, and what to do about it."""
    own_id = f"; if another run has run id {run_id} too, give each an id of its own"
    return (
        f"something else deleted it, {else_}.\n"
        f"See the router's log of it{'' if is_random(run_id or '') else own_id}"
    )


def _of_request(instance: Instance) -> str:
    """Describe what became of a provision, as far as it is known."""
    if instance.state is State.ACCEPTED:
        left = instance.id and f" with {instance.id}, which may be another run's and is left alone"
        return f"the router accepted the request{left or ''}"
    tried = reversed(instance.requests.kept)
    code = next((one.status for _, one in tried if one.call == "provision"), None)
    if code is None or code < 300:
        return "the router may have carried out the request"
    return f"the request was answered with {code}, and the router may have carried it out"
