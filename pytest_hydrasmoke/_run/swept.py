"""What sweeps have learned of a run: a file for each, beside the run's ledger.

A ledger's age tells how long ago its run wrote to it, so that a sweep must not write there. Ages
are differences between the times of two files: no clock of this process has a part in them. What a
sweep has closed stays closed only as long as the ledger does not grow: its run goes on then. What
it has found that no ledger has is an entry here, which is as old as the file that it is in.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_hydrasmoke._base import files
from pytest_hydrasmoke._journal.states import State

from .folder import LEDGER, swept_files, swept_name
from .ledger_lines import Entry, Reading


def found_entry(key: str, url: str, ids: Sequence[str]) -> Entry:
    """Return the entry of a key that has named instances, and stands in no ledger."""
    return Entry(key, url, {}, state=State.CREATED, id=ids[-1], ids=[*ids])


@dataclass(slots=True)
class Swept:
    """One sweep's file for one run."""

    folder: Path
    size: int = 0
    """That of the ledger that was read."""
    age: float = 0.0
    """Seconds since the ledger was last written to; 0 if they can't be told."""
    found_ages: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds since a sweep has found each key that no ledger has: its request is that old."""
    asked: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds since the first sweep that has asked for each key's deletion, after it last ran."""
    ran: set[str] = field(default_factory=set[str])
    """The keys whose instance a sweep has seen alive: the run's own deletion failed."""
    _file: Path | None = None

    @classmethod
    def begin(cls, folder: Path, reading: Reading) -> Swept:
        """Begin a sweep of a run; its reading takes in what earlier sweeps have closed."""
        swept = cls(folder, reading.size)
        file = folder / swept_name(secrets.token_hex(8))
        with contextlib.suppress(OSError):
            files.make_mark(file)
            swept._file = file
            now = file.stat().st_mtime
            oldest_first = sorted((other.stat().st_mtime, other) for other in swept_files(folder))
            for written, other in oldest_first:
                swept._take_in(other, reading, max(now - written, 0.0))
            swept.age = max(now - (folder / LEDGER).stat().st_mtime, 0.0)
        return swept

    def age_of(self, key: str) -> float:
        """Return the seconds since a key's request, at least."""
        return self.found_ages.get(key, self.age)

    def deleting_for(self, key: str, *, by_run: bool) -> float:
        """Return the seconds since the first delete after which an instance was not seen alive.

        `by_run`: whether the run has had one accepted.
        """
        own = self.age_of(key) if by_run and key not in self.ran else 0.0
        return max(own, self.asked.get(key, 0.0))

    def saw_alive(self, key: str) -> None:
        """Record that an instance is alive: no delete so far has done its work."""
        self.ran.add(key)
        self.asked.pop(key, None)
        self.write(key, State.CREATED)

    def _take_in(self, file: Path, reading: Reading, age: float) -> None:
        for line in file.read_bytes().splitlines():
            # A line that was cut short closes nothing.
            with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
                told = json.loads(line)
                key, state, ids = str(told["key"]), State(told["state"]), told["ids"]
                if "url" in told and key not in reading.entries:
                    reading.entries[key] = found_entry(key, str(told["url"]), ids)
                    self.found_ages[key] = age
                entry = reading.entries[key]
                if state is State.CREATED:
                    self.ran.add(key)
                    self.asked.pop(key, None)
                    entry.deleted.clear()
                    continue
                if state is State.DELETING:
                    self.asked.setdefault(key, age)
                if told["size"] == reading.size:
                    entry.state = state
                    entry.ids += ids
                    entry.deleted += ids

    def write(self, key: str, state: State, ids: Sequence[str] = (), **more: str) -> None:
        """Record what became of a key, and of the instances that it named, if possible.

        Otherwise the next sweep asks the router again.
        """
        if self._file is None:
            return
        told = {"key": key, "state": state, "ids": [*ids], "size": self.size, **more}
        line = json.dumps(told)
        with contextlib.suppress(OSError):
            files.append(self._file, f"\n{line}\n".encode(), make=False)

    def found(self, key: str, url: str, ids: Sequence[str]) -> Entry:
        """Record what a key names that no ledger has; return its entry."""
        self.write(key, State.CREATED, ids, url=url)
        self.found_ages[key] = 0.0
        return found_entry(key, url, ids)

    def end(self) -> None:
        """Remove the file if nothing was written to it."""
        with contextlib.suppress(OSError):
            if self._file is not None and self._file.stat().st_size == 0:
                self._file.unlink()
