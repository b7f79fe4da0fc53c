"""The keys that a sweep polls: those in a ledger, and a run's slots in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_hydrasmoke._base.run_keys import key_of, run_of, slot_of
from pytest_hydrasmoke._base.text import first_few

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
        return _number(self.run_id, key)


def in_order(keys: Iterable[str]) -> list[str]:
    """Return keys in the order of their slots."""
    return sorted(keys, key=_place)


def spans(keys: Iterable[str]) -> str:
    """Return keys in the order of their slots, those in a row as `run-0 to run-15`."""
    found: list[list[str]] = []
    last: tuple[str, int] | None = None
    for run_id, number, key in map(_place, in_order(keys)):
        if number > 0 and last == (run_id, number - 1):
            found[-1] = [found[-1][0], key]
        else:
            found.append([key])
        last = (run_id, number)
    return first_few([" to ".join(span) for span in found])


def _place(key: str) -> tuple[str, int, str]:
    run_id = run_of(key) or ""
    return run_id, _number(run_id, key), key


def _number(run_id: str, key: str) -> int:
    """Return the number of a key's slot; -1 for a key of another form."""
    number = slot_of(run_id, key)
    is_slot = number.isascii() and number.isdigit() and len(number) <= _DIGITS
    return int(number) if is_slot else -1
