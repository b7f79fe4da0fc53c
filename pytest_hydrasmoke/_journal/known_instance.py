"""What clean-up knows of an instance: what follows from the entries of a ledger, or of a journal.

A process folds its own entries as it writes them; another process, or a sweep, those that it reads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, fields
from typing import Any

from pytest_hydrasmoke._base.evidence import Absent
from pytest_hydrasmoke._base.run_keys import run_of

from .events import Alive, Claimed, Fact, Prepared, Vanished
from .states import CLOSED, HAS_ROW, State


@dataclass(kw_only=True)
class KnownInstance:
    """An instance that has a key, or that the run is attached to."""

    key: str | None = None
    url: str = ""
    """The router's."""
    wanted: Mapping[str, Any] | None = None
    """Its spec, as plain data; None if it is not known, as for an attached instance."""
    attached: bool = False
    """Whether the run is attached to it: it has no key, and is never deleted."""
    fake: bool = False
    """Whether the bundled fake provisioned it, which ended with its run."""
    share: str | None = None
    """The name of its share; None if it is private to one process."""
    run: str | None = None
    """The run that has claimed it; None where no claim is known."""
    absent_when_claimed: Absent | None = None
    """How the router answered, when its run began, for what does not exist; None if unknown."""
    other_token: bool = False
    """Whether it was requested with a token that is not the run's: that one may see nothing."""
    state: State = State.CLAIMED
    id: str | None = None
    ids: list[str] = field(default_factory=list[str])
    """The instances that the key has named: only these are deleted. What the answer to a provision
    alone has named may be another run's."""
    accepted: list[str] = field(default_factory=list[str])
    """Those whose deletion the router has accepted, if it was not seen alive since."""
    vanished: list[str] = field(default_factory=list[str])
    """Those that were seen alive, and whose first DELETE found nothing; none was accepted since."""
    in_vain: bool = False
    """Whether it was seen alive behind a delete."""
    shown: float = field(default=math.inf, compare=False)
    """Seconds from its request until its key named its last instance, as far as entries tell."""
    lasted: float = field(default=0.0, compare=False)
    """Seconds from then until the last entry that tells, at least."""
    was_ready: bool = False
    prepared: bool = False
    """Whether a process has called the hook for an instance that is ready."""

    def learn(self, event: Claimed | Fact) -> None:
        """Add what an entry says."""
        match event:
            case Claimed():
                self.wanted = self.wanted if event.spec is None else event.spec
                self.attached = event.attached
                self.url, self.fake, self.share = event.url, event.fake, event.share
                self.run, self.other_token = event.run, event.other_token
                if event.key_404 is not None:
                    self.absent_when_claimed = Absent(event.key_404, bool(event.bare))
                self.state = State.CLAIMED
            case Vanished():
                self.vanished.append(event.id)
            case Alive():
                self.in_vain = True
                self.accepted.clear()
            case Prepared():
                self.prepared = True
            case _:
                state, name = event.state, event.id
                if state is State.CREATED and not (self.had_row and name in (None, self.id)):
                    # Who has not requested it tells no time.
                    self.shown, self.lasted = event.seconds or math.inf, 0.0
                self.lasted = max(self.lasted, event.seconds - self.shown)
                if state is State.CREATED and None not in (name, self.id) and name != self.id:
                    self.was_ready = False  # It was another one that was.
                self.state, self.id = state, self.id if name is None else name
                self.was_ready |= state is State.READY
                if state is State.CREATED:
                    self.accepted.clear()  # It came back.
                if name is not None and state is State.CREATED and name not in self.ids:
                    self.ids.append(name)
                if name is not None and state is State.DELETING:
                    self.accepted.append(name)
                    self.vanished = [it for it in self.vanished if it != name]

    def again(self) -> KnownInstance:
        """Return what a new claim of its key begins with: it still owes what it has named."""
        owed = KnownInstance(key=self.key, ids=[*self.ids], accepted=[*self.accepted])
        owed.in_vain, owed.vanished = self.in_vain, [*self.vanished]
        return owed

    def take_over(self, known: KnownInstance) -> None:
        """Go on from what is known elsewhere."""
        for one in fields(KnownInstance):
            setattr(self, one.name, copy(getattr(known, one.name)))

    @property
    def run_id(self) -> str | None:
        """The run that has claimed it: only a key without a claim is told by its form."""
        return self.run or run_of(self.key)

    @property
    def had_row(self) -> bool:
        """Whether the router had a row for it: after that, "not found" means gone."""
        return bool(self.ids) and self.state in HAS_ROW | {State.GONE}

    @property
    def open(self) -> bool:
        """Whether somebody has to look again: at the bundled fake, nobody can."""
        return self.state not in CLOSED and not self.fake
