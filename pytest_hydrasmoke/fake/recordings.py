"""Recordings as they are known to the fake: what agents said in a live run, and to whom.

The chunks of a stream stay in their file until they are played: so a recording takes the memory of
its messages, however long its streams are.
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
from typing import Literal, TypeAlias, cast

_LATEST = 10**12
"""Milliseconds that no chunk comes after."""

Chunk: TypeAlias = tuple[float, bytes]
"""Seconds from the request, and what was read then."""
Claim: TypeAlias = tuple[str, int] | Literal["shared"] | None
"""Whose instance it is, and which of his, counted from 0; None where a client provisioned it."""
End: TypeAlias = Literal["closed", "cut", "stalled", "left"]
"""How a stream ended: by itself, cut, silent until the deadline, or because its client left."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Chunks that are a line each, in a row, in a file that is not read into memory."""

    offset: int
    number: int


@dataclass(frozen=True, slots=True)
class Counted:
    """The LLM events of a turn, and how many seconds after its end they were there."""

    count: int
    providers: tuple[str, ...]
    after: float


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that was no stream."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A message, and what came of it: a stream, or a refusal."""

    run: int
    claim: Claim
    spec: Mapping[str, str]
    message: str
    llm_events: Counted | None
    end: End | None
    chunks: Sequence[Chunk | Lines]
    refused: Refused | None


@dataclass(frozen=True, slots=True)
class Recording:
    """What was said for one owner: a test, a fixture or a hook."""

    file: Path
    of: str
    recorded: date
    turns: tuple[Turn, ...]
    stamp: tuple[int, int]
    """By which a file is known that was changed since."""

    def chunks(self, turn: Turn) -> Iterator[Chunk]:
        """Yield the chunks of one of its turns; raises ValueError where the file has changed."""
        # At once, and not when the first chunk is wanted: here an answer can still be refused.
        if stamp_of(self.file.stat()) != self.stamp:
            raise ValueError(f"{self.file} has changed since it was read: start the fake again")
        return self._played(turn)

    def _played(self, turn: Turn) -> Iterator[Chunk]:
        with self.file.open("rb") as lines:
            for part in turn.chunks:
                if not isinstance(part, Lines):
                    yield part
                    continue
                lines.seek(part.offset)
                for _ in range(part.number):
                    chunk = chunk_in(lines.readline())
                    assert chunk is not None  # As it was when it was checked.
                    yield chunk


@dataclass(frozen=True, slots=True, eq=False)
class Recordings:
    """All recordings of a folder, in the order of their files."""

    folder: Path
    each: Sequence[Recording]
    by_owner: Mapping[str, Recording] = field(repr=False)

    @property
    def days(self) -> tuple[date, date]:
        """The day of the oldest, and of the newest."""
        days = [recording.recorded for recording in self.each]
        return min(days), max(days)

    @property
    def spec(self) -> Mapping[str, str]:
        """What most of the instances were, a field at a time."""
        told = [item for one in self.each for turn in one.turns for item in turn.spec.items()]
        # Of values of a name, the most frequent is the last to be put there.
        return {name: value for (name, value), _ in reversed(Counter(told).most_common())}


def stamp_of(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def chunk_of(value: object) -> Chunk | None:
    if not isinstance(value, list) or len(chunk := cast(list[object], value)) != 2:
        return None
    after, content = chunk[0], bytes_of(chunk[1])
    if content is None or type(after) is not int or not 0 <= after < _LATEST:
        return None
    return after / 1000, content


def bytes_of(value: object) -> bytes | None:
    """Read what is text, or else base64; None for what is neither."""
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


def chunk_in(line: bytes) -> Chunk | None:
    """Read a line that is a chunk and no more."""
    text = line.strip().removesuffix(b",")
    if not (text.startswith(b"[") and text.endswith(b"]")):
        return None
    try:
        return chunk_of(json.loads(text))
    except (ValueError, RecursionError):
        return None
