"""The keys that a sweep asks for: those in a ledger, and a run's slots in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_hydrasmoke._base.run_keys import key_of, slot_of

from .ledger_lines import Entry

AHEAD = 16
"""After so many slots in a row without a row, the run is taken to have used no further ones."""
_DIGITS = 5
"""Most digits of a slot number: a larger one is no reason to ask for all slots before it."""


@dataclass(frozen=True, slots=True)
class Target:
    """One key to ask for, and the folder whose ledger records the outcome."""

    key: str
    folder: Path
    entry: Entry | None = None
    """Its entry in the ledger; None for a slot without an entry."""


@dataclass(slots=True)
class Slots:
    """The slots of a run, asked for in order until enough of them have no row."""

    run_id: str
    folder: Path
    known: frozenset[str]
    """The keys in its ledger, which are asked for anyway."""
    asked: int = 0

    def more(self, found: frozenset[str] = frozenset()) -> Iterator[Target]:
        """Yield the slots still to be asked for, given the keys that turned out to have a row."""
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
