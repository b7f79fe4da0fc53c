"""The deletion of all that one key names, as a machine without I/O; `proof` judges what was seen.

The answer to a delete proves nothing: looks show whether an instance is gone, and whether its key
now names another one. The end of a run, of a `with` and of a worker, a `delete()` and a sweep are
the same machine: `cleanup` and `swept_key` drive it.

A proof may be of a moment only. So a last look, `Verification`, comes a while later: it looks at
each id once more, and then, where its boot may still go on, deletes it once more. Before the look,
that DELETE might hide what is there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_hydrasmoke._api.models import PollResult
from pytest_hydrasmoke._base.run_keys import is_random
from pytest_hydrasmoke._journal.events import Conflict, Doing
from pytest_hydrasmoke._journal.states import HAS_ROW, State
from pytest_hydrasmoke._transport.protocol import LAST_CHANCE

from .instance import Instance
from .key_machine import (
    Ended,
    FindRow,
    KeyMachine,
    Probe,
    Question,
    Result,
    Step,
    Wait,
)
from .policy import poll_interval
from .proof import NEXT_LOOK, VANISHED, Look

OUT_OF_SIGHT = "it died, or the router has lost sight of it"
FIRST_LOOK = 5.0
"""Seconds to find out whether an instance is gone before this run deletes it."""
UNDER_WAY_LOOKS = 3
"""How often a last look sees a deletion under way until it stops looking."""
ANOTHER = "its key names another instance each time"


@dataclass(slots=True)
class _Rounds:
    """The rounds of one id: each a DELETE where that is due, and a look."""

    due: float
    """When the next one is due."""
    tried: float = -math.inf
    """When the last one has ended."""
    why: str = ""
    """Why it has not proved anything."""

    def next(self, last: float) -> float | None:
        """Return when the next round is due, None where its time is up: a last one is at `last`."""
        return None if self.tried >= last else min(self.due, last)


class Deletion(KeyMachine):
    """The deletion of all that one key names; what it has seen stays in the instance."""

    def __init__(self, instance: Instance, now: float, *, looks_first: bool = False) -> None:
        super().__init__(instance)
        self._start = now
        self._row = _Rounds(now)
        """The looks for its row; without one, an id proves nothing: a delete would find nothing,
        and so seem to be done, while a worker is still about to insert the row."""
        self._row_until = now + self._policy.row_wait
        self._no_row = Ended(Result.UNPROVED)
        """What it comes to if no row is seen."""
        self._deadline: float | None = None
        self._left = dict[str, _Rounds]()
        """The ids that are not proved gone."""
        self._under_way: str | None = None
        """The id whose DELETE was sent, and is to be looked at now."""
        self._looks_first = looks_first and instance.id is not None
        """Whether a look comes before the first DELETE: something else may have deleted it."""
        self._gone_before = self._vanished = False
        if instance.state in HAS_ROW:
            self._has_row(now)
        elif instance.state is State.GONE:
            self._begin(now)

    @property
    def found_row(self) -> bool:
        """Whether the key has a row, or had one before."""
        return self._deadline is not None

    def _has_row(self, now: float) -> None:
        self._begin(now)
        # The phase has begun; its deadline is known now.
        self.instance.note(Doing("delete", self._deadline), now)

    def _begin(self, now: float) -> None:
        self._start, self._deadline = now, now + self._policy.delete_timeout
        self._left = {it: _Rounds(now) for it in self.instance.known_ids}

    def next(self, now: float, patience: float = math.inf) -> Step:
        if self._deadline is None:
            return self._find_row(now, patience)
        if self._looks_first and patience == math.inf:
            # Taken from the deletion's own time.
            seconds = min(FIRST_LOOK, self._policy.delete_timeout / 4)
            return Probe(str(self.instance.id), now + seconds)
        self._looks_first = False  # After a signal there is no time for that.
        if self._under_way is not None:
            return Probe(self._under_way, self._deadline)
        if not self._left:
            return self._ends(now)
        last = min(self._deadline, patience) - LAST_CHANCE
        moments = [(rounds.next(last), it) for it, rounds in self._left.items()]
        due = [(at, it) for at, it in moments if at is not None]
        if not due:
            reasons = [it.why for it in self._left.values() if it.why != ANOTHER] or [ANOTHER]
            seconds = now - self._start
            return Ended(Result.UNPROVED, f"{reasons[-1]} {seconds:.0f} s after the delete")
        at, instance_id = min(due, key=lambda it: it[0])
        return Wait(at) if at > now else self._round(instance_id, now, self._deadline)

    def _round(self, instance_id: str, now: float, deadline: float) -> Question:
        self._under_way = instance_id
        if self._judge(instance_id).ask:
            return self.delete(instance_id, now, deadline)
        return Probe(instance_id, deadline)

    def saw(self, seen: Look, now: float) -> None:
        instance = self.instance
        if self._looks_first:
            self._looks_first = False
            is_alone = not instance.keeper.was_swept
            self._gone_before = is_alone and seen.says_gone and instance.owns(seen.named)
            return
        instance_id, self._under_way = self._under_way, None
        assert instance_id is not None
        verdict = self._enter(instance_id, seen)
        if seen.named is not None and not instance.owns(seen.named):
            # This is the key's instance now.
            instance.names(seen.named, seen.at)
            instance.add_remark(f"its key now names {seen.named}: deleted too")
            self._left[seen.named] = _Rounds(now, now, ANOTHER)
        if not verdict.proved and not verdict.vanished:
            due = verdict.next_look or now + poll_interval(now - self._start)
            self._left[instance_id] = _Rounds(due, now, verdict.why)
            return
        del self._left[instance_id]
        self._vanished |= verdict.vanished
        router = self._policy.router
        if verdict.kept_row and not router.keeps_rows:
            router.keeps_rows = True
            instance.add_remark(
                f"the router keeps the row of a deleted instance: {seen.why}. It counts as gone "
                "once that has held, and a further delete has found nothing"
            )

    def _ends(self, now: float) -> Ended:
        instance = self.instance
        if self._vanished:
            return Ended(Result.UNPROVED, f"{VANISHED}: {_who(instance.run_id, OUT_OF_SIGHT)}")
        if self._gone_before:
            words = f"it was gone before this run deleted it: {_who(instance.run_id)}"
            instance.note(Conflict(words))
        instance.is_gone(now, ends=self._policy.router.fake)
        return Ended(Result.PROVED)

    # A key without a row

    def _find_row(self, now: float, patience: float) -> Step:
        due = self._row.next(min(self._row_until, patience) - LAST_CHANCE)
        if due is None:
            if patience < self._row_until:
                return Ended(Result.UNPROVED, "a signal came before a row for its key did")
            return self._no_row
        if due > now:
            return Wait(due)
        return FindRow(max(self._row_until, now + self._policy.last_look))

    def saw_row(self, row: PollResult | str, now: float) -> None:
        """Learn what the key names, or why that is in doubt."""
        instance = self.instance
        if isinstance(row, str):
            self._no_row = Ended(Result.UNPROVED, row)
        elif row.instance_id is None:
            why = f"{_of_request(instance)}, but shows no instance for its key"
            self._no_row = Ended(Result.NO_ROW, why)
        else:
            # What was answered before there was a row proves nothing.
            instance.evidence.forget()
            instance.names(row.instance_id, now)
            return self._has_row(now)
        self._row = _Rounds(now + poll_interval(now - self._start), now)
        return None


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


class Verification(KeyMachine):
    """The last look at all that one key has named."""

    def __init__(self, instance: Instance, until: float, *, deletes_again: bool) -> None:
        super().__init__(instance)
        self._until = until
        self._deletes_again = deletes_again
        self._left = instance.known_ids
        """The ids that are not looked at yet; the first is looked at now."""
        self._doubts = list[str]()
        """Each id is judged by itself: a doubt about one says nothing of the others."""
        self._returned: str | None = None
        self._to_delete: str | None = None
        self._begin()

    def _begin(self) -> None:
        """Begin with the next id."""
        self._due, self._asks, self._under_way, self._why = -math.inf, False, 0, ""
        held = self.instance.evidence[self._left[0]].held if self._left else None
        self._was_under_way = held is not None and held[0] == "under way"

    def next(self, now: float, patience: float = math.inf) -> Step:
        if self._returned is not None:
            return Ended(Result.RETURNED, self._returned)
        if self._to_delete is not None:
            instance_id, self._to_delete = self._to_delete, None
            return self.delete(instance_id, now, self._until)
        if self._left and self._due > now and now >= patience - LAST_CHANCE:
            self._ends_with(self._why)  # A signal has ended the wait.
            return self.next(now, patience)
        if not self._left:
            why = "; ".join(dict.fromkeys(self._doubts))
            return Ended(Result.DOUBTED if why else Result.VERIFIED, why)
        if self._due > now:
            return Wait(min(self._due, patience - LAST_CHANCE))
        if self._asks:
            self._asks = False
            return self.delete(self._left[0], now, self._until)
        return Probe(self._left[0], self._until)

    def saw(self, seen: Look, now: float) -> None:
        instance = self.instance
        verdict = self._enter(self._left[0], seen, last=True)
        if seen.says == "alive":
            self._returned = f"it was proved gone, and is there again: {seen.why}"
        elif seen.named is not None and not instance.owns(seen.named):
            # Its key may name it this once: it is deleted all the same.
            instance.names(seen.named, seen.at)
            self._returned = f"it was proved gone, and is there again: its key names {seen.named}"
        elif verdict.proved:
            self._ends_with("")
        else:
            self._goes_on(seen, verdict.why, verdict.next_look or now + NEXT_LOOK, ask=verdict.ask)

    def _goes_on(self, seen: Look, why: str, again: float, *, ask: bool) -> None:
        """Look again, unless that can't tell more."""
        # A deletion that goes on is not waited for, but one that is only said ends soon.
        self._under_way += seen.says == "under way"
        if seen.says == "nothing" and not self._under_way and self._was_under_way:
            # A router may say so of a deletion that it drops: one such word proves nothing.
            self._returned = f"its deletion was seen under way, and not its end: {why}"
        elif seen.says == "nothing" or self._under_way == UNDER_WAY_LOOKS or again > self._until:
            self._ends_with(why)
        else:
            self._due, self._asks, self._why = again, ask, why

    def _ends_with(self, doubt: str) -> None:
        """End the last look at one id."""
        self._doubts += [doubt] if doubt else []
        looked_at = self._left.pop(0)
        self._to_delete = looked_at if self._deletes_again else None
        self._begin()
