"""The keys that a sweep polls: those in a ledger, and a run's slots in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_hydrasmoke._base.run_keys import key_of, slot_of

from .ledger_lines import Entry

AHEAD = 16
"""After this many consecutive slots without a row, no further slot counts as used."""
_DIGITS = 5
"""Most digits of a slot number: a larger number is no reason to poll all slots before it."""


@dataclass(frozen=True, slots=True)
class Target:
    """One key to poll, and the folder whose ledger records the outcome."""

    key: str
    folder: Path
    entry: Entry | None = None
    """Its entry in the ledger; None for a slot without an entry."""


@dataclass(slots=True)
class Slots:
    """The slots of a run, polled in order until enough of them have no row."""

    run_id: str
    folder: Path
    known: frozenset[str]
    """The keys in its ledger, which are polled anyway."""
    asked: int = 0

    def more(self, found: frozenset[str] = frozenset()) -> Iterator[Target]:
        """Yield the slots still to be polled; `found` are the polled keys that had a row."""
        last = max((self._slot(key) for key in self.known | found), default=-1)
        upto = last + 1 + AHEAD
        while self.asked < upto:
            key = key_of(self.run_id, self.asked)
            self.asked += 1
            if key not in self.known:
                yield Target(key, self.folder)

    def _slot(self, key: str) -> int:
        """Return the number of a key's slot; -1 for a key of another form."""
        number = slot_of(self.run_id, key)
        is_slot = number.isascii() and number.isdigit() and len(number) <= _DIGITS
        return int(number) if is_slot else -1
