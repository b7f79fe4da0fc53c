"""The keys that a run may have used, where no ledger tells: its slots, and the checks' names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_hydrasmoke._base.run_keys import key_of, run_of, slot_number
from pytest_hydrasmoke._base.text import first_few

AHEAD = 64
"""Slots without a row after the last one found, from which on no slot counts as used."""
NAMES = (
    *("stranger_missing", "stranger_wrong", "stranger_longer", "stranger_shorter"),
    *("stranger_headless", "stranger_same_end", "stranger_same_beginning", "stranger_other_case"),
    *("stranger_empty", "stranger_other_scheme", "stranger_bare"),
    *("without_manifest_id", "without_region_id", "without_tier_id"),
)
"""Names of keys that the bundled checks own, as far as a router might make something of them."""


class Slots:
    """The slots of a run in order, until enough of them have no row, and the names."""

    def __init__(self, run_id: str, known: Iterable[str], most: int) -> None:
        self.run_id = run_id
        self._known = frozenset(known)
        self._ahead = max(AHEAD, most)
        self._asked = 0
        self._names = [key_of(run_id, name) for name in NAMES]

    def more(self, found: Iterable[str] = ()) -> Iterator[str]:
        """Yield the keys still to be asked for; `found` are those that had a row."""
        numbers = (slot_number(self.run_id, key) for key in {*self._known, *found})
        last = max((number for number in numbers if number is not None), default=-1)
        while self._asked < last + 1 + self._ahead:
            key = key_of(self.run_id, self._asked)
            self._asked += 1
            if key not in self._known:
                yield key
        names, self._names = self._names, []
        yield from (key for key in names if key not in self._known)

    @property
    def words(self) -> str:
        """What was looked up."""
        return f"slots 0-{self._asked - 1}, nor under the bundled checks' names"


def spans(keys: Iterable[str]) -> str:
    """Return keys in the order of their slots, those in a row as `run-0 to run-15`."""
    found: list[list[str]] = []
    last: tuple[str, int] | None = None
    for run_id, number, key in sorted(map(_place, keys)):
        if number > 0 and last == (run_id, number - 1):
            found[-1] = [found[-1][0], key]
        else:
            found.append([key])
        last = (run_id, number)
    return first_few([" to ".join(span) for span in found])


def _place(key: str) -> tuple[str, int, str]:
    run_id = run_of(key) or ""
    number = slot_number(run_id, key)
    return run_id, -1 if number is None else number, key
