"""Which keys a sweep asks for: those that a ledger names, and a run's slots one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_hydrasmoke._base.run_keys import key_of, slot_of

from .ledger import Entry

AHEAD = 16
"""So many slots in a row without a row, and a run is taken to have used none beyond them."""
_DIGITS = 5
"""Of a slot's number: one that claims to be farther away is no reason to ask for all before it."""


@dataclass(frozen=True, slots=True)
class Target:
    """One key to ask for, and the folder whose ledger is told what became of it."""

    key: str
    folder: Path
    entry: Entry | None = None
    """What the ledger says of it; None for a slot that it does not name."""


@dataclass(slots=True)
class Slots:
    """The slots of a run, asked for one after the other until enough of them have no row."""

    run_id: str
    folder: Path
    known: frozenset[str]
    """The keys that its ledger names: these are asked for anyway."""
    asked: int = 0

    def more(self, found: frozenset[str] = frozenset()) -> Iterator[Target]:
        """Yield the slots still to be asked for, where these keys turned out to have a row."""
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
