"""A ledger as read: what its lines say of each key, and which of them can't be read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count, islice
from typing import Any

from pytest_hydrasmoke._base.run_keys import slot_number
from pytest_hydrasmoke._journal.codec import SCHEMA, OtherSchemaError, decode
from pytest_hydrasmoke._journal.events import Became, Claimed, CleanedUp, Entry, Fact, Refuted
from pytest_hydrasmoke._journal.known_instance import KnownInstance
from pytest_hydrasmoke._journal.states import State

FREE = frozenset({State.UNUSED, State.REFUSED})
"""States in which a key counts for no instance."""
USABLE = frozenset({State.CLAIMED, State.REQUESTED, State.ACCEPTED, State.CREATED, State.READY})
"""States in which another process may use a shared instance."""
_entry_of = lru_cache(8192)(decode)
"""A run reads its ledger again for each test: what is new in it are its last lines."""


@dataclass(slots=True)
class LedgerReading:
    """What follows from a ledger: instances by key, and lines that could not be read."""

    instances: dict[str, KnownInstance] = field(default_factory=dict[str, KnownInstance])
    refuted: dict[str, Refuted] = field(default_factory=dict[str, Refuted])
    """What tests have shown not to work."""
    problems: list[str] = field(default_factory=list[str])
    ended: bool = False
    """Whether the run has come to the end of its clean-up."""
    row_lag: float = 0.0
    """The longest time from a request to its row, in seconds."""
    boot: float = 0.0
    """The longest time from a request to a ready instance, or without one, in seconds."""
    size: int = 0
    """In bytes: a ledger only grows."""

    @property
    def has_own(self) -> bool:
        """Whether any of its lines is a ledger's."""
        return bool(self.instances or self.refuted)

    @property
    def open(self) -> list[KnownInstance]:
        """What may have to be deleted."""
        return [known for known in self.instances.values() if known.open]

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to look at, and every line could be read."""
        return not self.open and not self.problems

    def shared(self, share: str, spec: Mapping[str, Any]) -> KnownInstance | None:
        """Return the instance of a share with a spec, if there is one."""
        for known in self.instances.values():
            if (known.share, known.wanted) == (share, spec) and known.state in USABLE:
                return known
        return None

    def free_slots(self, run_id: str, number: int, most: int) -> list[int]:
        """Return the next free slots; empty if with `number` more there would be over `most`.

        A key that was refused is never used again, and counts for nothing.
        """
        slots = {slot_number(run_id, key): known for key, known in self.instances.items()}
        slots.pop(None, None)
        if number + sum(known.state not in FREE for known in slots.values()) > most:
            return []
        usable = (it for it in count() if it not in slots or slots[it].state is State.UNUSED)
        return [*islice(usable, number)]

    def apply(self, entry: Entry) -> None:
        """Add what an entry says; raises ValueError for one that no ledger has."""
        event, key = entry.event, entry.of
        match event:
            case Refuted() if event.why is None:
                self.refuted.pop(event.what, None)
            case Refuted():
                self.refuted[event.what] = event
            case CleanedUp():
                self.ended = True
            case Claimed() if isinstance(key, str):
                self.instances[key] = self.instances.get(key, KnownInstance(key=key)).again()
                self.instances[key].learn(event)
                if event.share is not None:
                    # Whoever boots it anew has seen what was written before.
                    self.refuted.pop(share_name(event.share, event.spec or {}), None)
            case _ if isinstance(event, Fact) and key in self.instances:
                known = self.instances[key]
                if isinstance(event, Became) and event.state is State.CREATED:
                    self.row_lag = max(self.row_lag, event.seconds)
                if isinstance(event, Became) and not known.was_ready:
                    self.boot = max(self.boot, event.seconds)
                known.learn(event)
            case _:
                raise ValueError


def share_name(share: str, spec: Mapping[str, Any]) -> str:
    """Return the name of a shared instance, by which it is locked and told."""
    return hashlib.sha256(json.dumps([share, spec]).encode()).hexdigest()[:16]


def parse(text: bytes) -> LedgerReading:
    """Read a ledger's lines; half-written, foreign and other schemas' are told, and skipped."""
    reading = LedgerReading(size=len(text))
    others: set[int] = set()
    for number, line in enumerate(text.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            reading.apply(_entry_of(line))
        except OtherSchemaError as error:
            # Once: all of its lines are of one release.
            if error.schema not in others:
                words = f"is of schema {error.schema}, and this release reads schema {SCHEMA} alone"
                reading.problems.append(f"line {number} {words}")
            others.add(error.schema)
        except ValueError:
            reading.problems.append(f"line {number} can't be read, and is skipped")
    return reading
