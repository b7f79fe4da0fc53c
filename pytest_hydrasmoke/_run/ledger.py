"""What a run owns, on disk before it exists: facts only, one per line, never the token.

A run's folder is `<output>/runs/<run id>/`; `folder` creates and removes its files:

- `ledger.jsonl`: every process of the run appends to it, each line in one write and on disk (fsync)
  before the step that it announces. A line also begins with a newline, so that a half-written line
  of a killed process spoils no other line.
- `slots.lock`: held while a process takes a slot and writes its intent.
- `held/*.lock`: held by the one test, of all processes, that uses a shared instance, and by the
  next in line.
- `live/*.lock`: held by each process of the run as long as it lives. The held lock, never a process
  id, shows that a run is alive. `live/*.seen`: which processes have ever held one.
- `turns.jsonl`: every process appends to it what others must know of its chat turns
  (`_core.run_turns`).
- `over`, written by a sweep, or `stopped`, by the main process at its end: the run is over. Every
  process looks for them before it provisions or chats.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_hydrasmoke._base import clock, files, run_keys
from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.files import make_folder
from pytest_hydrasmoke._base.run_keys import PLAIN, Commands
from pytest_hydrasmoke._journal.codec import encode
from pytest_hydrasmoke._journal.events import (
    Became,
    Claimed,
    CleanedUp,
    Entry,
    Event,
    Fact,
    Refuted,
    Vanished,
)

from . import folder as run_folder
from .folder import HELD, LEDGER, LIVE, OVER, SLOTS, STOPPED, folder_of
from .ledger_lines import LedgerReading, parse
from .locks import MAIN, Lock, is_held, is_live, wait_for

SLOTS_TIMEOUT = 30.0
"""Seconds to wait for another process of the run that takes a slot."""


@dataclass(frozen=True, slots=True)
class _Writable:
    """Raises `ConfigError` in place of an OSError; no generator, whose frames pytest would show."""

    folder: Path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise ConfigError(
                f"the ledger in {self.folder} can't be written: {error}",
                next_step="without it a killed run could leak: give another --hydra-smoke-output",
            ) from None


class Ledger:
    """One run's folder, as the run itself uses it. Raises `ConfigError` if it can't be written."""

    name = ""
    """This process's, in the run."""

    def __init__(
        self,
        output: Path,
        run_id: str,
        *,
        fake: bool = False,
        commands: Commands = PLAIN,
        clean: Callable[[str], str] = str,
    ) -> None:
        self.run_id = run_id
        self.fake = fake
        """Whether the run's router is the bundled fake."""
        self._commands = commands
        self._clean = clean
        """Masks the token."""
        self.folder = folder_of(output, run_id)
        self._output = output
        self._writable = _Writable(self.folder)
        self._lock: Lock | None = None
        self._size = 0
        """The ledger's at this process's last claim: it only grows."""

    def begin(self, name: str) -> None:
        """Create the folder, and hold the lock that shows that process `name` of the run lives."""
        run_keys.check_name("run id", self.run_id)
        run_keys.check_name("worker's name", name)
        self.name = name
        with self._writable:
            live = run_folder.make_run(self._output, self.run_id) / LIVE
            make_folder(live)
            self._lock = Lock(live / f"{name}.lock")
            # A sweep that tests the lock holds it for a moment.
            if not self._lock.acquire(within=2):
                raise OSError("another process holds it: give each run its own id")
            # The lock's file proves nothing later: other tools have files of such names, too.
            files.make_mark(live / f"{name}{run_folder.SEEN}")
        by = "a sweep" if self.was_swept else "its main process"
        used = f"{by} has declared run {self.run_id} over" if self.is_over else ""
        if name == MAIN and self.read().size:
            used = f"run {self.run_id} has left a ledger in {self.folder}"
        if used:
            self._lock.release()
            raise ConfigError(
                f"run id used before: {used}",
                next_step="give every run an id of its own; to delete what that one left: "
                + self._commands.sweep(self.run_id),
            )

    @property
    def is_over(self) -> bool:
        """Whether a sweep, or the main process, has declared this run over."""
        return self.was_swept or (self.folder / STOPPED).exists()

    @property
    def was_swept(self) -> bool:
        """Whether a sweep has declared it over, which deletes its instances as well."""
        return (self.folder / OVER).exists()

    def claim(self, claimed: Claimed, number: int, most: int) -> list[str]:
        """Take the keys of the next free slots, of `most`, and write their claims."""
        with self._writable, Lock(self.folder / SLOTS) as slots:
            if not slots.acquire(SLOTS_TIMEOUT):
                raise OSError(f"another process holds {slots.path}")
            free = self.read().free_slots(self.run_id, number, most)
            keys = [run_keys.key_of(self.run_id, slot) for slot in free]
            for key in keys:
                self._claim(key, claimed)
        if not keys:
            raise ConfigError(
                f"no room for {number} more: max_instances allows {most} in a run",
                next_step="raise HYDRA_SMOKE_MAX_INSTANCES, share instances (scope), or leave out "
                "the bundled checks, which take one (bundled_checks = false)",
            )
        return keys

    def claim_key(self, key: str, claimed: Claimed) -> None:
        """Write the claim of a key outside the slots: of a request that should be refused."""
        with self._writable:
            self._claim(key, claimed)

    def _claim(self, key: str, claimed: Claimed) -> None:
        ledger = self.folder / LEDGER
        size = ledger.stat().st_size if ledger.exists() else 0
        if size < self._size:
            # One begun anew would say nothing of what the other one knew.
            raise OSError("it was removed, or replaced, while the run used it")
        self._append(claimed, key, make=True)
        self._size = ledger.stat().st_size

    def lock_of(self, name: str) -> Lock:
        """Return the lock, not held yet, of a name that one process of the run may hold."""
        return Lock(self.folder / HELD / f"{name}.lock")

    def hold(self, lock: Lock, check: Callable[[], object]) -> None:
        """Wait until no other process of the run holds a lock, and hold it.

        `check` is called between two attempts; what it raises ends the wait.
        """
        with self._writable:
            make_folder(lock.path.parent)
            # A waiting process holds this lock: without it a process that releases the share and
            # wants it again would win over one that still waits for its next look.
            with Lock(lock.path.with_name(f"{lock.path.stem}-next.lock")) as turn:
                wait_for(turn, check)
                wait_for(lock, check)

    def hold_if_free(self, name: str) -> Lock | None:
        """Hold a name that no other process of the run holds; None if one does."""
        with self._writable:
            make_folder(self.folder / HELD)
            lock = self.lock_of(name)
            return lock if lock.acquire() else None

    def refute(self, what: str, test: str, why: str | None) -> None:
        """Record, if possible, that something was shown not to work; None takes that back."""
        with contextlib.suppress(OSError):
            # The router's words may echo the token.
            words = None if why is None else self._clean(why)
            self._append(Refuted(what, test, words), make=True)

    def write(self, key: str, event: Fact) -> None:
        """Append a fact; raises OSError. A sweep asks the router for what was not written."""
        if isinstance(event, Became) and event.id is not None and self._clean(event.id) != event.id:
            # A router can echo the token as an id; without an id, a sweep asks for the key.
            event = event._replace(id=None)
        if isinstance(event, Vanished) and self._clean(event.id) != event.id:
            return
        self._append(event, key)

    def _append(self, event: Event, key: str | None = None, *, make: bool = False) -> None:
        append(self.folder, Entry(clock.now(), key, event), make=make)

    def mark_ended(self) -> None:
        """Record, if possible, that the run's clean-up has come to its end."""
        with contextlib.suppress(OSError):
            if self.read().open:
                self._append(CleanedUp())

    def read(self) -> LedgerReading:
        """Read the ledger, whichever processes wrote it."""
        return read(self.folder)

    def read_if_possible(self) -> LedgerReading:
        """Read the ledger; one that can't be read is empty, until a sweep reads it."""
        with contextlib.suppress(OSError):
            return self.read()
        return LedgerReading()

    def look(self) -> LedgerReading:
        """Read the ledger; raises `ConfigError` if it can't be read."""
        with self._writable:
            return self.read()

    def end(self) -> None:
        """Release the lock, and remove the folder if nothing is left and no process uses it."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        discard_if_done(self.folder)

    def has_seen(self, name: str) -> bool:
        """Return whether a process of this name has ever held its lock here."""
        return (self.folder / LIVE / f"{name}{run_folder.SEEN}").exists()

    def other_lives(self, name: str) -> bool:
        """Return whether another process of the run, of this name, lives."""
        if name in ("", self.name):
            return False
        return is_held(self.folder / LIVE / f"{name}.lock")

    def stop(self) -> None:
        """Stop the run's other processes from provisioning and chatting."""
        with contextlib.suppress(OSError):
            files.make_mark(self.folder / STOPPED)


def read(folder: Path) -> LedgerReading:
    """Read a run's ledger; a missing one is empty. Raises OSError."""
    try:
        text = (folder / LEDGER).read_bytes()
    except FileNotFoundError:
        return LedgerReading()
    return parse(text)


def append(folder: Path, entry: Entry, *, make: bool = False) -> None:
    """Append an entry, as it is: keys must be whole. It is on disk on return. Raises OSError.

    Only a claim may `make` the file: a fact without its claim is useless, and must not recreate a
    ledger that was removed.
    """
    begins = make and not (folder / LEDGER).exists()
    line = b"\n" + encode(entry, str, replies=True)
    files.append(folder / LEDGER, line, make=make, durable=True)
    if begins:
        # Sync new directories too: a file whose directory entry is lost is lost.
        for place in (folder, *folder.parents[:3]):
            files.flush_folder(place)


def discard_if_done(folder: Path) -> None:
    """Remove a run's folder if it is known that nothing is left, and no process uses it."""
    with contextlib.suppress(OSError):
        if read(folder).is_settled and not is_live(folder):
            run_folder.discard(folder)


def mark_run_over(output: Path, run_id: str) -> None:
    """Mark a run as over: its owner, if it still lives, stops provisioning and chatting.

    Raises `ConfigError` if the mark can't be written.
    """
    try:
        files.make_mark(run_folder.make_run(output, run_id) / OVER)
    except OSError as error:
        raise ConfigError(
            f"{folder_of(output, run_id)} can't be written: {error}",
            next_step="give another folder with --output",
        ) from None
