"""Recordings as the fake uses them: what agents said in a live run, and to whom.

The chunks of a stream stay in their file until they are replayed: so a recording takes the memory
of its messages, however long its streams are.
"""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, cast

Claim: TypeAlias = tuple[str, int] | Literal["shared"] | None
"""An instance's owner, and its number among the owner's, from 0; None from a client."""
End: TypeAlias = Literal["closed", "cut", "stalled", "left"]
"""How a stream ended: by itself, cut, silent until the deadline, or left by its client."""


class ChunkLines(NamedTuple):
    """Consecutive chunks with one line each, in a file that is not read into memory."""

    offset: int
    number: int


@dataclass(frozen=True, slots=True)
class CountedEvents:
    """The LLM events of a turn."""

    count: int
    providers: tuple[str, ...]

    def each(self, usual: Sequence[str]) -> Sequence[str]:
        """Return the provider of each: a recorded one, else one of the `usual`."""
        known = self.providers or usual or ("unknown",)
        return [known[number % len(known)] for number in range(self.count)]


class Refused(NamedTuple):
    """An answer that was no stream."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True, eq=False)
class PlayableTurn:
    """A message, and its result: a stream, or a refusal."""

    of: str
    """Its owner: a test, a fixture or a hook."""
    number: int
    """Among its owner's turns, from 0."""
    file: Path
    stamp: tuple[int, int]
    """Shows that the file has changed since it was read."""
    run: int
    claim: Claim
    spec: Mapping[str, str]
    message: str
    llm_events: CountedEvents | None
    end: End | None
    chunks: Sequence[bytes | ChunkLines]
    refused: Refused | None

    def stream(self) -> Iterator[bytes]:
        """Yield its chunks; raises ValueError if the file has changed."""
        # Checked now, not at the first chunk: here the request can still be refused.
        if stamp_of(self.file.stat()) != self.stamp:
            raise ValueError(f"{self.file} has changed since it was read: start the fake again")
        return self._played()

    def _played(self) -> Iterator[bytes]:
        with self.file.open("rb") as lines:
            for part in self.chunks:
                if not isinstance(part, ChunkLines):
                    yield part
                    continue
                lines.seek(part.offset)
                for _ in range(part.number):
                    chunk = chunk_in(lines.readline())
                    assert chunk is not None  # It was checked when it was read.
                    yield chunk


class Recording(NamedTuple):
    """The turns of one owner."""

    file: Path
    of: str
    recorded: date
    turns: Sequence[PlayableTurn]


@dataclass(frozen=True, slots=True, eq=False)
class RecordedFolder:
    """All recordings of a folder, in the order of their files."""

    folder: Path
    each: Sequence[Recording]
    by_owner: Mapping[str, Recording] = field(repr=False)

    @property
    def days(self) -> tuple[date, date]:
        """The dates of the oldest and the newest."""
        days = [recording.recorded for recording in self.each]
        return min(days), max(days)

    @property
    def in_words(self) -> str:
        """What is replayed, for people."""
        number = len(self.each)
        oldest, newest = self.days
        days = f"{oldest}" if oldest == newest else f"{oldest} to {newest}"
        return f"replaying {number} {'recording' if number == 1 else 'recordings'} of {days}"

    def in_words_with_age(self, today: date) -> str:
        """Return what is replayed, and the age of the oldest recording, for people."""
        old = max((today - self.days[0]).days, 0)
        age = "of today" if old == 0 else f"{old} {'day' if old == 1 else 'days'} old"
        return f"{self.in_words}; the oldest is {age}"

    @property
    def spec(self) -> Mapping[str, str]:
        """The most frequent value of each field of instances."""
        fields = [item for one in self.each for turn in one.turns for item in turn.spec.items()]
        # The most frequent value of a field is set last.
        return {name: value for (name, value), _ in reversed(Counter(fields).most_common())}


def stamp_of(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def chunk_of(value: object) -> bytes | None:
    """Return the bytes of a chunk, which has their time too; None for what is none."""
    if not isinstance(value, list) or len(chunk := cast(list[object], value)) != 2:
        return None
    milliseconds = chunk[0]
    if type(milliseconds) is not int or milliseconds < 0:
        return None
    return bytes_of(chunk[1])


def bytes_of(value: object) -> bytes | None:
    """Decode a text, or else base64; None for what is neither."""
    try:
        match value:
            case str():
                return value.encode()
            case {"base64": str(text)}:
                return base64.b64decode(text, validate=True)
            case _:
                return None
    except ValueError:
        return None


def chunk_in(line: bytes) -> bytes | None:
    """Parse a line that is exactly one chunk; None for any other."""
    text = line.strip().removesuffix(b",")
    if not (text.startswith(b"[") and text.endswith(b"]")):
        return None
    try:
        return chunk_of(json.loads(text))
    except (ValueError, RecursionError):
        return None
