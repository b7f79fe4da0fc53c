"""The last look at all that was proved gone, as a machine without I/O.

A proof may be of a moment only. So each id is looked at once more, and then, where its boot may
still go on, deleted once more: before the look, that DELETE might hide what is there.
"""

from __future__ import annotations

import math

from pytest_hydrasmoke._transport.protocol import LAST_CHANCE

from .instance import Instance
from .key_machine import Ended, KeyMachine, Probe, Result, Step, Wait
from .proof import NEXT_LOOK, Look

UNDER_WAY_LOOKS = 3
"""How often a last look sees a deletion under way until it stops looking."""


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
