"""What a run owns, on disk before it exists: facts only, a line each, never the token.

A run has a folder, `<output>/runs/<run id>/`:

- `ledger.jsonl`: appended to by every process of the run, each line in one write and on the disk
  (fsync) before the step that it announces. A line begins with a line end too, so that what a
  writer left half-written when it was killed spoils no other line.
- `slots.lock`: held while a slot is taken and its intent written.
- `held/*.lock`: held by the one test, of all processes, that uses a shared instance, and by the
  one that is next.
- `live/*.lock`: held by each process of the run for as long as it lives. A held lock, never a
  process id, is what tells that a run is alive.
- `turns/*.json`: what is known of the last turn on each shared instance (`_turnlog`), written by
  whoever holds it; `turns/*.tmp` for a moment.
- `over`: the word of a sweep, or of the main process at its end, that the run is over. Every
  process reads it before it provisions or chats.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, cast

from filelock import FileLock, Timeout

from ._errors import ConfigError, own_frames

__tracebackhide__ = own_frames

MAIN = "main"
"""The name of a run's main process, which begins it; workers have others."""
SLOTS_TIMEOUT = 30.0
"""Seconds to wait for another process of the run that takes a slot."""


class Fact(StrEnum):
    """What can be known of a key, in the order in which it becomes known."""

    INTENT = "intent"
    ACCEPTED = "accepted"
    CREATED = "created"
    READY = "ready"
    KEPT = "kept"
    DELETED = "deleted"
    REFUSED = "refused"
    ABSENT = "absent"
    CONFIRMED = "confirmed"


CLOSED = frozenset({Fact.REFUSED, Fact.ABSENT, Fact.CONFIRMED})
"""Facts after which there is nothing left to delete."""
_WITH_ROW = frozenset({Fact.CREATED, Fact.READY, Fact.KEPT, Fact.DELETED})
_USABLE = frozenset({Fact.INTENT, Fact.ACCEPTED, Fact.CREATED, Fact.READY})


@dataclass(slots=True)
class Entry:
    """What the ledger says of one key."""

    key: str
    url: str
    settings: Mapping[str, Any]
    """What a sweep needs beside url and token: `sweep_settings` of the run."""
    spec: Mapping[str, Any]
    share: str | None = None
    """What it is shared under; None if it is private to one process."""
    fact: Fact = Fact.INTENT
    id: str | None = None
    was_ready: bool = False
    """Whether a process saw it ready, and told so."""

    @property
    def has_row(self) -> bool:
        """Tell whether the router had a row for it: from then on, "not found" means gone."""
        return self.id is not None and self.fact in _WITH_ROW

    @property
    def open(self) -> bool:
        """Tell whether there may be something to delete."""
        return self.fact not in CLOSED


@dataclass(slots=True)
class Reading:
    """A ledger as read: entries by key, and lines that could not be."""

    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    failures: list[tuple[str, Mapping[str, Any], str]] = field(
        default_factory=list[tuple[str, Mapping[str, Any], str]]
    )
    """What could not be provisioned for all: the share, its spec, and why."""
    problems: list[str] = field(default_factory=list[str])

    @property
    def open(self) -> list[Entry]:
        """The entries that may have something to delete."""
        return [entry for entry in self.entries.values() if entry.open]

    def shared(self, share: str, spec: Mapping[str, Any]) -> Entry | None:
        """Give what is shared under a name with a spec, if there is such a thing by now."""
        for entry in self.entries.values():
            if (entry.share, entry.spec) == (share, spec) and entry.fact in _USABLE:
                return entry
        return None

    def failure(self, share: str, spec: Mapping[str, Any]) -> str | None:
        """Tell why there can be no such thing, if somebody has tried."""
        return next((why for *what, why in self.failures if what == [share, spec]), None)


def parse(text: bytes) -> Reading:
    """Read a ledger's lines; half-written and foreign ones are reported, and skipped."""
    reading = Reading()
    for number, line in enumerate(text.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            _apply(reading, json.loads(line))
        except (ValueError, KeyError, TypeError, RecursionError):
            reading.problems.append(f"line {number} can't be read, and is skipped")
    return reading


def _apply(reading: Reading, line: Any) -> None:
    if "failure" in line:
        share, why = _text(line["share"]), _text(line["failure"])
        reading.failures.append((share, _mapping(line["spec"]), why))
        return
    key, fact = _text(line["key"]), Fact(line["fact"])
    if fact is Fact.INTENT:
        # A key that was refused is used again: its intent starts afresh.
        settings, spec = _mapping(line["settings"]), _mapping(line["spec"])
        reading.entries[key] = Entry(key, _text(line["url"]), settings, spec)
        if line.get("share") is not None:
            reading.entries[key].share = _text(line["share"])
        return
    entry = reading.entries[key]
    entry.fact = fact
    entry.was_ready |= fact is Fact.READY
    if line.get("id") is not None:
        entry.id = _text(line["id"])


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return cast("dict[str, Any]", value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


class Intent(NamedTuple):
    """What is to be known of a key before the request that carries it leaves."""

    spec: Mapping[str, Any]
    url: str
    settings: Mapping[str, Any]
    share: str | None = None


class Ledger:
    """One run's folder, as the run itself uses it. Raises `ConfigError` if it can't be written."""

    def __init__(self, output: Path, run_id: str, *, fake: bool = False) -> None:
        self.run_id = run_id
        self._fake = fake
        self.folder = folder_of(output, run_id)
        self._output = output
        self._lock: FileLock | None = None

    def begin(self, name: str) -> None:
        """Make the folder, and hold the lock that tells that process `name` of the run lives."""
        try:
            live = self.folder / "live"
            live.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The folder ignores itself in git.
            (self._output / ".gitignore").write_bytes(b"*\n")
            # A sweep that looks whether it is held holds it for a moment itself.
            self._lock = FileLock(live / f"{name}.lock", timeout=2)
            self._lock.acquire()
        except Timeout:
            raise self._unusable("another process holds it: give each run an id") from None
        except OSError as error:
            raise self._unusable(str(error)) from None
        used = f"a sweep has said that run {self.run_id} is over" if self.is_over else ""
        if name == MAIN and self.read().entries:
            used = f"run {self.run_id} has left a ledger in {self.folder}"
        if used:
            self._lock.release()
            raise ConfigError(
                f"run id used before: {used}",
                next_step="give every run an id of its own; what that one left: "
                f"hydra-smoke sweep --run-id {self.run_id}",
            )

    def _unusable(self, why: str) -> ConfigError:
        return ConfigError(
            f"the ledger in {self.folder} can't be written: {why}",
            next_step="without it a killed run could leak: give another --hydra-smoke-output",
        )

    @property
    def is_over(self) -> bool:
        """Tell whether a sweep, or the main process, has said that this run is over."""
        return (self.folder / "over").exists()

    def claim(self, intent: Intent, number: int, most: int) -> list[str] | None:
        """Take slots and write their intents; None if fewer than `number` of `most` are free.

        The key of a request that the router refused is free again: nothing came of it.
        """
        try:
            with FileLock(self.folder / "slots.lock", timeout=SLOTS_TIMEOUT):
                taken = self.read().entries
                slots = (f"{self.run_id}-{slot}" for slot in range(most))
                free = [key for key in slots if key not in taken or taken[key].fact is Fact.REFUSED]
                if len(free) < number:
                    return None
                for key in free[:number]:
                    self._intend(key, intent)
        except (OSError, Timeout) as error:
            raise self._unusable(str(error)) from None
        return free[:number]

    def claim_key(self, key: str, intent: Intent) -> None:
        """Write the intent of a key that is no slot's: of a request that is to be refused."""
        try:
            self._intend(key, intent)
        except OSError as error:
            raise self._unusable(str(error)) from None

    def _intend(self, key: str, intent: Intent) -> None:
        settings = {**intent.settings, "fake": self._fake}
        note(self.folder, key, Fact.INTENT, **{**intent._asdict(), "settings": settings})

    def hold(self, name: str, check: Callable[[], object]) -> FileLock:
        """Wait until no other process of the run holds a name, and hold it.

        `check` is called once a second; what it raises ends the wait.
        """
        held = self.folder / "held"
        try:
            held.mkdir(mode=0o700, exist_ok=True)
            # Whoever waits stands in here: else a process that lets go, and wants it again, would
            # have it before one that waits has looked.
            turnstile = _locked(held / f"{name}-next.lock", check)
            try:
                return _locked(held / f"{name}.lock", check)
            finally:
                turnstile.release()
        except OSError as error:
            raise self._unusable(str(error)) from None

    def give_up(self, share: str, spec: Mapping[str, Any], why: str) -> None:
        """Write down, as far as that can be, that nobody need try to provision this again."""
        with contextlib.suppress(OSError):
            append(self.folder, {"share": share, "spec": dict(spec), "failure": why})

    def note(self, key: str, fact: Fact, instance_id: str | None) -> None:
        """Write a fact down; raises OSError. What is not written, a sweep finds out again."""
        note(self.folder, key, fact, id=instance_id)

    def read(self) -> Reading:
        """Read it, whoever wrote it."""
        return read(self.folder)

    def look(self) -> Reading:
        """Read it; raises `ConfigError` if that can't be done."""
        try:
            return self.read()
        except OSError as error:
            raise self._unusable(str(error)) from None

    def end(self) -> None:
        """Let go of the lock, and of the folder if nothing is left and nobody uses it."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        discard_if_done(self.folder)

    def has_seen(self, name: str) -> bool:
        """Tell whether a process of this name has ever held its lock here."""
        return (self.folder / "live" / f"{name}.lock").exists()

    def stop(self) -> None:
        """Tell the run's other processes to provision and chat no more."""
        with contextlib.suppress(OSError):
            (self.folder / "over").touch(mode=0o600)


def _locked(path: Path, check: Callable[[], object]) -> FileLock:
    # Released by whoever ends the test, which may be another thread than began it.
    lock = FileLock(path, timeout=1.0, thread_local=False)
    while True:
        check()
        with contextlib.suppress(Timeout):
            lock.acquire()
            return lock


def folder_of(output: Path, run_id: str) -> Path:
    """Give a run's folder."""
    return output / "runs" / run_id


def run_folders(output: Path) -> list[Path]:
    """Give the folders of all runs that have left one."""
    runs = output / "runs"
    return sorted(folder for folder in runs.iterdir() if folder.is_dir()) if runs.is_dir() else []


def read(folder: Path) -> Reading:
    """Read a run's ledger; one that is not there is empty. Raises OSError."""
    try:
        text = (folder / "ledger.jsonl").read_bytes()
    except FileNotFoundError:
        return Reading()
    return parse(text)


def has_main_process(output: Path, run_id: str) -> bool:
    """Tell whether a run's main process lives on this host, whose disk this process sees."""
    lock = folder_of(output, run_id) / "live" / f"{MAIN}.lock"
    try:
        return lock.exists() and _is_held(lock)
    except OSError:
        return False  # Whatever it is, this process can't share a ledger with it.


def is_live(folder: Path) -> bool:
    """Tell whether a process of the run holds its lock."""
    return any(_is_held(lock) for lock in sorted((folder / "live").glob("*.lock")))


def _is_held(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def note(folder: Path, key: str, fact: Fact, **fields: object) -> None:
    """Append a fact, on the disk when this returns. Raises OSError."""
    append(folder, {"key": key, "fact": fact, **fields})


def append(folder: Path, facts: Mapping[str, object]) -> None:
    """Append a line, on the disk when this returns. Raises OSError."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = json.dumps({**facts, "at": at})
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    descriptor = os.open(folder / "ledger.jsonl", flags, 0o600)
    try:
        if os.write(descriptor, f"\n{line}\n".encode()) < len(line) + 2:
            raise OSError("the disk is full")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def discard_if_done(folder: Path) -> None:
    """Remove a run's folder if nothing is left to delete, and nobody uses it."""
    try:
        done = not read(folder).open and not is_live(folder)
    except OSError:
        return
    if done:
        shutil.rmtree(folder, ignore_errors=True)


def bury(output: Path, run_id: str) -> None:
    """Say that a run is over: its owner, if it still lives, then provisions and chats no more.

    Raises `ConfigError` if that can't be written.
    """
    folder = folder_of(output, run_id)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (output / ".gitignore").write_bytes(b"*\n")
        (folder / "over").touch(mode=0o600)
    except OSError as error:
        raise ConfigError(
            f"{folder} can't be written: {error}", next_step="give another folder with --output"
        ) from None
