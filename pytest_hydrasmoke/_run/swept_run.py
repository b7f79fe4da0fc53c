"""A run that is swept: what its ledger and earlier sweeps tell, and which keys it may have used.

What a sweep learns is in a file of its own, beside the run's ledger: a ledger's age tells how long
ago its run wrote to it, so that a sweep must not write there. Ages are differences between the
times of two files: no clock of this process has a part in them. What a sweep has closed stays
closed only as long as the ledger does not grow: its run goes on then. What it has found that no
ledger has, or that was closed, is an entry here, which is as old as the file that it is in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_hydrasmoke._api.models import plain_id
from pytest_hydrasmoke._base import clock, files
from pytest_hydrasmoke._base.run_keys import key_of, run_of, slot_number
from pytest_hydrasmoke._base.text import first_few, safe_line
from pytest_hydrasmoke._journal.codec import encode, entries_of
from pytest_hydrasmoke._journal.events import Alive, Became, Claimed, Entry, Event, Learned
from pytest_hydrasmoke._journal.known_instance import KnownInstance
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.target import same_router

from .folder import swept_files, swept_name, time_of, written_at
from .ledger_lines import LedgerReading

AHEAD = 64
"""Slots without a row after the last one found, from which on no slot counts as used."""
NAMES = (
    *("stranger_missing", "stranger_wrong", "stranger_longer", "stranger_shorter"),
    *("stranger_headless", "stranger_same_end", "stranger_same_beginning", "stranger_other_case"),
    *("stranger_empty", "stranger_other_scheme", "stranger_bare"),
    *("without_manifest_id", "without_region_id", "without_tier_id"),
)
"""Names of keys that the bundled checks own, as far as a router might make something of them."""


@dataclass(slots=True)
class SweptRun:
    """What is known of a run that is swept, and one sweep's file for it."""

    folder: Path
    reading: LedgerReading
    """What its ledger says, and what sweeps have learned."""
    url: str = ""
    """The router that is asked."""
    ended: bool = False
    """Whether the run came to the end of its clean-up: then no row is to come."""
    clean: Callable[[str], str] = str
    """Masks the token."""
    slots: Slots | None = None
    """The slots that it may have used beside, where they have to be asked for."""
    age: float = 0.0
    """Seconds since the run last wrote a file of its own; 0 if they can't be told."""
    found_ages: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds since a sweep has found each key that was not open: its request is that old."""
    asked: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds since the first sweep that has asked for each key's deletion, after it last ran."""
    ran: set[str] = field(default_factory=set[str])
    """The keys whose instance a sweep has seen alive: the run's own deletion failed."""
    booting: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds since the first sweep that has seen each key's boot go on."""
    _file: Path | None = None
    _by_run: dict[str, frozenset[str]] = field(init=False)
    """The instances of each key whose deletion the run has had accepted."""

    def __post_init__(self) -> None:
        known = self.reading.instances
        self._by_run = {key: frozenset(map(plain_id, it.accepted)) for key, it in known.items()}

    @property
    def run_id(self) -> str:
        return self.folder.name

    @property
    def ours(self) -> list[KnownInstance]:
        """What its ledger has open, of this run and of the router that is asked."""
        named = (it for it in self.reading.open if it.run_id == self.run_id)
        return [it for it in named if same_router(it.url, self.url)]

    def not_ours(self) -> Iterator[tuple[str, str]]:
        """Yield what else its ledger has open, and why no sweep of this router deletes it."""
        elsewhere: dict[str, list[str]] = {}
        for known in self.reading.open:
            key = str(known.key)
            if known.run_id != self.run_id:
                why = f"its ledger is run {self.run_id}'s, which has not claimed it"
                yield f"(key {safe_line(key)})", why
            elif not same_router(known.url, self.url):
                elsewhere.setdefault(known.url, []).append(key)
        for url, keys in elsewhere.items():
            many, they = ("key", "it is") if len(keys) == 1 else (f"{len(keys)} keys:", "they are")
            why = f"{they} another router's: sweep with HYDRA_SMOKE_URL={safe_line(url)}"
            yield f"({many} {safe_line(spans(keys))})", why

    def begin(self) -> SweptRun:
        """Begin a sweep of a run; its reading takes in what earlier sweeps have learned."""
        file, now = self.folder / swept_name(), 0.0
        # Where it can't be made, nothing has an age.
        with contextlib.suppress(OSError):
            files.make_mark(file)
            self._file, now = file, file.stat().st_mtime
        try:
            # A line that was cut short closes nothing.
            # One without a time is as young as this sweep.
            for written, lines in sorted(_read(swept_files(self.folder), now)):
                for entry in entries_of(lines):
                    self._take_in(entry, max(now - written, 0.0))
        except OSError as error:
            self.reading.problems.append(f"what an earlier sweep has found can't be read: {error}")
        with contextlib.suppress(OSError):
            self.age = max(now - (written_at(self.folder) or now), 0.0)
        return self

    def age_of(self, key: str) -> float:
        """Return the seconds since a key's request, at least."""
        return self.found_ages.get(key, self.age)

    def deleting_for(self, key: str, ids: Iterable[str]) -> float:
        """Return the seconds since the first delete after which its instances were not seen alive.

        What the run has had accepted is as old as its ledger, if that holds for all of them.
        """
        by_run = self._by_run.get(key, frozenset())
        is_own = bool(by_run) and by_run.issuperset(map(plain_id, ids)) and key not in self.ran
        return max(self.age_of(key) if is_own else 0.0, self.asked.get(key, 0.0))

    def saw_alive(self, key: str) -> None:
        """Record that an instance is alive: no delete so far has done its work."""
        self.learned(key, State.CREATED)

    def found(self, key: str, ids: Sequence[str]) -> KnownInstance:
        """Record what a key names that no ledger has open."""
        self._add(key, Claimed({}, url=self.url))
        self.learned(key, State.CREATED, ids)
        return self.reading.instances[key]

    def learned(
        self, key: str, state: State, ids: Sequence[str] = (), *, boots: bool = False
    ) -> None:
        """Record what became of a key, and of the instances that it named."""
        # A router can echo the token as an id; without an id, the next sweep asks for the key.
        shown = tuple(known for known in ids if self.clean(known) == known)
        self._add(key, Learned(state, shown, self.reading.size, boots))

    def _add(self, key: str, event: Event) -> None:
        entry = Entry(clock.now(), key, event)
        self._take_in(entry, 0.0)
        # Where it can't be written, the next sweep asks the router again.
        with contextlib.suppress(OSError):
            if self._file is not None:
                line = b"\n" + encode(entry, str, replies=True)
                files.append(self._file, line, make=False)

    def _take_in(self, entry: Entry, age: float) -> None:
        key, event, known = str(entry.of), entry.event, self.reading.instances
        if isinstance(event, Claimed):
            if key not in known or not known[key].open:
                self.reading.apply(entry)
                self.found_ages[key] = age
        elif isinstance(event, Learned) and key in known:
            self._learn(known[key], event, age)

    def _learn(self, known: KnownInstance, event: Learned, age: float) -> None:
        key, state = str(known.key), event.state
        if state is State.CREATED:
            self.ran.add(key)
            self.asked.pop(key, None)
            known.learn(Alive())
            known.state = State.CREATED  # Whatever another sweep has called it before.
            for found in event.ids:
                known.learn(Became(state, found))
            return
        if state is State.DELETING:
            self.asked.setdefault(key, age)
        if event.boots:
            self.booting.setdefault(key, age)
        if event.size == self.reading.size:
            known.state = state
            known.ids += event.ids
            known.accepted += event.ids

    def end(self) -> None:
        """Remove the file if nothing was written to it."""
        with contextlib.suppress(OSError):
            if self._file is not None and self._file.stat().st_size == 0:
                self._file.unlink()


def _read(found: Iterable[Path], now: float) -> Iterator[tuple[float, bytes]]:
    """Yield the time and the lines of each file: one without lines is removed by its own sweep."""
    for file in found:
        with contextlib.suppress(FileNotFoundError):
            yield time_of(file.stat()) or now, file.read_bytes()


# The keys that it may have used, where no ledger tells


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
    """Return keys in the order of their slots, those in a row as `run-0 to run-15`; then names."""
    found: list[list[str]] = []
    last: tuple[str, int] | None = None
    for run_id, number, key in sorted(map(_place, keys), key=lambda it: (it[0], it[1] < 0, it)):
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
