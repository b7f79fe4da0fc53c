"""The lines of a ledger, one fact each, and what they show of each key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

SCHEMA = 2
"""Version of a line; in version 1, which has no such field, `deleted` meant today's `deleting`."""
_FIRST_WORDS = {"deleted": "deleting", "confirmed": "deleted"}


class Fact(StrEnum):
    """What can be known of a key, in the order in which it becomes known."""

    INTENT = "intent"
    ACCEPTED = "accepted"
    CREATED = "created"
    READY = "ready"
    KEPT = "kept"
    DELETING = "deleting"
    """The router accepted the request to delete it."""
    REFUSED = "refused"
    ABSENT = "absent"
    DELETED = "deleted"
    """It is proved gone."""


CLOSED = frozenset({Fact.REFUSED, Fact.ABSENT, Fact.DELETED})
"""Facts after which nothing is left to delete."""
_WITH_ROW = frozenset({Fact.CREATED, Fact.READY, Fact.KEPT, Fact.DELETING})
_USABLE = frozenset({Fact.INTENT, Fact.ACCEPTED, Fact.CREATED, Fact.READY})


@dataclass(slots=True)
class Entry:
    """What the ledger records for one key."""

    key: str
    url: str
    spec: Mapping[str, Any]
    at: datetime
    """When its intent was written, which is before its request left."""
    fake: bool = False
    """Whether the bundled fake provisioned it, which ended with its run."""
    share: str | None = None
    """The name of its share; None if it is private to one process."""
    fact: Fact = Fact.INTENT
    id: str | None = None
    was_ready: bool = False
    """Whether a process saw it ready, and recorded that."""

    @property
    def has_row(self) -> bool:
        """Whether the router had a row for it: after that, "not found" means gone."""
        return self.id is not None and self.fact in _WITH_ROW

    @property
    def open(self) -> bool:
        """Whether there may be an instance to delete."""
        return self.fact not in CLOSED


@dataclass(slots=True)
class Reading:
    """A ledger as read: entries by key, and lines that could not be parsed."""

    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    failures: list[tuple[str, Mapping[str, Any], str]] = field(
        default_factory=list[tuple[str, Mapping[str, Any], str]]
    )
    """Failed provisions of shared instances: the share, its spec, and why."""
    problems: list[str] = field(default_factory=list[str])

    @property
    def written(self) -> bool:
        """Whether it has any line, readable or not."""
        return bool(self.entries or self.failures or self.problems)

    @property
    def open(self) -> list[Entry]:
        """The entries that may have an instance to delete."""
        return [entry for entry in self.entries.values() if entry.open]

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to delete, and every line could be read."""
        return not self.open and not self.problems

    def shared(self, share: str, spec: Mapping[str, Any]) -> Entry | None:
        """Return the entry of a share with a spec, if there is one."""
        for entry in self.entries.values():
            if (entry.share, entry.spec) == (share, spec) and entry.fact in _USABLE:
                return entry
        return None

    def failure(self, share: str, spec: Mapping[str, Any]) -> str | None:
        """Return why a share could not be provisioned, if a process has tried."""
        return next((why for *what, why in self.failures if what == [share, spec]), None)


def parse(text: bytes) -> Reading:
    """Parse a ledger's lines; half-written and foreign ones are reported, and skipped."""
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
    key, word = _text(line["key"]), _text(line["fact"])
    schema = line.get("schema", 1)
    if schema not in (1, SCHEMA):
        raise ValueError
    fact = Fact(_FIRST_WORDS.get(word, word) if schema == 1 else word)
    if fact is Fact.INTENT:
        # A refused key is used again: its intent starts afresh.
        entry = Entry(key, _text(line["url"]), _mapping(line["spec"]), _moment(line["at"]))
        entry.fake = _mapping(line["settings"]).get("fake") is True
        if line.get("share") is not None:
            entry.share = _text(line["share"])
        reading.entries[key] = entry
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


def _moment(value: object) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError
    return moment


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
