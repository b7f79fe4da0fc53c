"""The lines of a ledger, one fact each, and what they show of each key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pytest_hydrasmoke._base.run_keys import slot_number
from pytest_hydrasmoke._journal.states import CLOSED, HAS_ROW, State

SCHEMA = 3
"""Version of a line."""
NAMING = frozenset({State.ACCEPTED, State.CREATED})
"""Facts whose id is from an answer about the key itself: it is the key's to delete."""
FREE = frozenset({State.UNUSED, State.REFUSED})
"""States in which a key counts for no instance."""


@dataclass(slots=True)
class Entry:
    """What the ledger records for one key."""

    key: str
    url: str
    spec: Mapping[str, Any]
    fake: bool = False
    """Whether the bundled fake provisioned it, which ended with its run."""
    share: str | None = None
    """The name of its share; None if it is private to one process."""
    state: State = State.CLAIMED
    id: str | None = None
    ids: list[str] = field(default_factory=list[str])
    """The instances that the key's own answers have named."""
    deleted: list[str] = field(default_factory=list[str])
    """Those whose deletion the router has accepted."""
    was_ready: bool = False
    prepared: bool = False
    """Whether a process has called the hook for an instance that is ready."""

    @property
    def had_row(self) -> bool:
        """Whether the router had a row for it: after that, "not found" means gone."""
        return bool(self.ids) and self.state in HAS_ROW | {State.GONE}

    @property
    def open(self) -> bool:
        """Whether somebody has to look again: at the bundled fake, nobody can."""
        return self.state not in CLOSED and not self.fake


@dataclass(slots=True)
class Reading:
    """A ledger as read: entries by key, and lines that could not be parsed."""

    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    failures: list[tuple[str, Mapping[str, Any], str]] = field(
        default_factory=list[tuple[str, Mapping[str, Any], str]]
    )
    """Failed provisions of shared instances: the share, its spec, and why."""
    problems: list[str] = field(default_factory=list[str])
    ended: bool = False
    """Whether the run has come to the end of its clean-up."""
    row_lag: float = 0.0
    """The longest time from a request to its row, in seconds."""
    boot: float = 0.0
    """The longest time from a request to a ready instance, in seconds."""
    size: int = 0
    """In bytes: a ledger only grows."""

    @property
    def written(self) -> bool:
        """Whether it has any line, readable or not."""
        return self.size > 0

    @property
    def has_own(self) -> bool:
        """Whether any of its lines is a ledger's."""
        return bool(self.entries or self.failures)

    @property
    def open(self) -> list[Entry]:
        """The entries that may have an instance to delete."""
        return [entry for entry in self.entries.values() if entry.open]

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to look at, and every line could be read."""
        return not self.open and not self.problems

    def shared(self, share: str, spec: Mapping[str, Any]) -> Entry | None:
        """Return the entry of a share with a spec, if there is one."""
        usable = (State.CLAIMED, State.REQUESTED, State.ACCEPTED, State.CREATED, State.READY)
        for entry in self.entries.values():
            if (entry.share, entry.spec) == (share, spec) and entry.state in usable:
                return entry
        return None

    def failure(self, share: str, spec: Mapping[str, Any]) -> str | None:
        """Return why a share could not be provisioned, if a process has tried."""
        return next((why for *what, why in self.failures if what == [share, spec]), None)

    def free_slots(self, run_id: str, number: int, most: int) -> list[int]:
        """Return the next free slots; empty if with `number` more there would be over `most`.

        A key that was refused is never used again, and counts for nothing.
        """
        slots = {slot_number(run_id, entry.key): entry for entry in self.entries.values()}
        slots.pop(None, None)
        if number + sum(entry.state not in FREE for entry in slots.values()) > most:
            return []
        usable = (
            slot
            for slot in range(len(slots) + number)
            if slot not in slots or slots[slot].state is State.UNUSED
        )
        return [slot for slot, _ in zip(usable, range(number), strict=False)]


class _OtherSchemaError(Exception):
    """Raised by a line of another schema."""

    def __init__(self, schema: int) -> None:
        super().__init__(schema)
        self.schema = schema


def parse(text: bytes) -> Reading:
    """Parse a ledger's lines; half-written, foreign and other schemas' are told, and skipped."""
    reading = Reading(size=len(text))
    others: set[int] = set()
    for number, line in enumerate(text.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            _apply(reading, json.loads(line))
        except _OtherSchemaError as error:
            # Once: all of its lines are of one release.
            if error.schema not in others:
                words = f"is of schema {error.schema}, and this release reads schema {SCHEMA} alone"
                reading.problems.append(f"line {number} {words}")
            others.add(error.schema)
        except (ValueError, KeyError, TypeError, RecursionError):
            reading.problems.append(f"line {number} can't be read, and is skipped")
    return reading


def _apply(reading: Reading, line: Any) -> None:
    schema = line["schema"]
    if schema != SCHEMA:
        raise _OtherSchemaError(schema) if isinstance(schema, int) else ValueError
    if "failure" in line:
        share, why = _text(line["share"]), _text(line["failure"])
        reading.failures.append((share, _mapping(line["spec"]), why))
    elif "ended" in line:
        reading.ended = True
    else:
        _apply_state(reading, line)


def _apply_state(reading: Reading, line: Any) -> None:
    key, state = _text(line["key"]), State(line["state"])
    if state is State.CLAIMED:
        # A key that is used again starts afresh, and still owes what it has named.
        entry = Entry(key, _text(line["url"]), _mapping(line["spec"]), line["fake"] is True)
        entry.share = None if line["share"] is None else _text(line["share"])
        before = reading.entries.get(key, entry)
        entry.ids, entry.deleted = [*before.ids], [*before.deleted]
        reading.entries[key] = entry
        return
    entry = reading.entries[key]
    instance_id = None if line.get("id") is None else _text(line["id"])
    seconds = float(line.get("seconds", 0.0))
    entry.state = state
    entry.prepared |= line.get("prepared") is True
    if instance_id is not None:
        entry.id = instance_id
        entry.ids += [instance_id] if state in NAMING and instance_id not in entry.ids else []
        entry.deleted += [instance_id] if state is State.DELETING else []
    if state is State.CREATED:
        entry.deleted.clear()  # It came back.
        reading.row_lag = max(reading.row_lag, seconds)
    elif state is State.READY:
        entry.was_ready = True
        reading.boot = max(reading.boot, seconds)


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return cast("dict[str, Any]", value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
