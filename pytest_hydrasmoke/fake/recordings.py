"""Recordings as the fake uses them: what agents said in a live run, and to whom.

`docs/reference/recordings.md` has the format; these are its models, and what they do not name is
ignored.
"""

from __future__ import annotations

import base64
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass as plain
from dataclasses import field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass

from pytest_hydrasmoke.fake.validity import Count, Positive

Claim: TypeAlias = tuple[str, int] | Literal["shared"] | None
"""An instance's owner, and its number among the owner's, from 0; None from a client."""
End: TypeAlias = Literal["closed", "cut", "stalled", "left"]
"""How a stream ended: by itself, cut, silent until the deadline, or left by its client."""
_CONFIG = ConfigDict(strict=True, populate_by_name=True)


def _bytes(value: object) -> bytes:
    match value:
        case str():
            return value.encode()
        case {"base64": str(text)}:
            return base64.b64decode(text, validate=True)
        case _:
            raise ValueError("must be a text, or base64")


def _chunk(value: Any) -> bytes:
    """Return the bytes of a chunk, which has the time of its arrival too."""
    match value:
        case [int(milliseconds), said] if milliseconds >= 0:
            return _bytes(said)
        case _:
            raise ValueError("must be [milliseconds, text or base64]")


def _claim(value: Any) -> Claim:
    """Return the claim of an instance; its own test's has no name here."""
    match value:
        case None:
            return None
        case "shared":
            return "shared"
        case int(number) if number >= 0:
            return "", number
        case {"of": str(owner), "number": int(number)} if number >= 0:
            return owner, number
        case _:
            raise ValueError("must be a number, shared, or of and number")


def _known(spec: Mapping[str, str | None]) -> Mapping[str, str]:
    return {name: value for name, value in spec.items() if value is not None}


@dataclass(frozen=True, config=_CONFIG)
class CountedEvents:
    """The LLM events of a turn."""

    count: Count
    providers: tuple[str, ...]

    def each(self, usual: Sequence[str]) -> Sequence[str]:
        """Return the provider of each: a recorded one, else one of the `usual`."""
        known = self.providers or usual or ("unknown",)
        return [known[number % len(known)] for number in range(self.count)]


@dataclass(frozen=True, config=_CONFIG)
class Refused:
    """An answer that was no stream."""

    status: Annotated[int, Field(ge=200, le=599)]
    content_type: str
    body: Annotated[bytes, BeforeValidator(_bytes)]


@dataclass(eq=False, kw_only=True, config=_CONFIG)
class PlayableTurn:
    """A message, and its result: a stream, or a refusal."""

    of: str = field(default="", init=False)
    """Its owner: a test, a fixture or a hook."""
    number: int = field(default=0, init=False)
    """Among its owner's turns, from 0."""
    run: Positive
    claim: Annotated[Claim, PlainValidator(_claim)] = Field(
        default=None, validation_alias="instance"
    )
    spec: Annotated[Mapping[str, str | None], AfterValidator(_known)]
    message: str
    llm_events: CountedEvents | None = None
    end: End | None = None
    chunks: tuple[Annotated[bytes, BeforeValidator(_chunk)], ...] = ()
    refused: Refused | None = None

    @model_validator(mode="after")
    def _has_one_result(self) -> PlayableTurn:
        if (self.end is None) == (self.refused is None):
            raise ValueError("must have either refused, or an end")
        return self


@dataclass(eq=False, config=_CONFIG)
class Recording:
    """The turns of one owner."""

    of: str
    recorded: date
    turns: list[PlayableTurn]
    file: Path = field(default=Path(), init=False)

    def __post_init__(self) -> None:
        for number, turn in enumerate(self.turns):
            turn.of, turn.number = self.of, number
            if isinstance(turn.claim, tuple) and not turn.claim[0]:
                turn.claim = self.of, turn.claim[1]


@plain(frozen=True, slots=True, eq=False)
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
        turns = [turn for one in self.each for turn in one.turns]
        fields = [(name, word) for it in turns for name, word in it.spec.items() if word]
        # The most frequent value of a field is set last.
        return {name: value for (name, value), _ in reversed(Counter(fields).most_common())}


FORMAT, VERSION = "pytest-hydrasmoke recording", 1
_SHOWN = 10
"""Most problems of a folder that are reported."""
_MOST = 100_000
"""Most files and folders below it: more is a whole disk, and not a folder of recordings."""


class _Head(BaseModel):
    """What says whether a file is a recording."""

    format: object = None
    version: object = None


_RECORDING = TypeAdapter(Recording)


class _OtherVersionError(Exception):
    """Raised for a valid file of another version."""


def read(folder: Path) -> RecordedFolder:
    """Read a folder; raises ValueError with its first ten problems."""
    files = _files(folder)
    by_owner: dict[str, Recording] = {}
    problems: list[str] = []
    for file in files:
        try:
            recording = _read(file)
        except (OSError, _OtherVersionError) as problem:
            problems.append(f"{file}: {problem}")
            continue
        except ValidationError as problem:
            what = f"{file} is damaged: {_words(problem)}"
            problems.append(f"{what}: restore it, or record it again")
            continue
        if recording is None:
            continue
        other = by_owner.setdefault(recording.of, recording)
        if other is not recording:
            problems.append(f"{file} and {other.file} are both of {recording.of}: keep one")
    if problems:
        more = len(problems) - _SHOWN
        rest = [f"{more} more of its files are wrong"] if more > 0 else []
        raise ValueError("; ".join([*problems[:_SHOWN], *rest]))
    if not by_owner:
        raise ValueError(
            f"{folder} has no recordings: make them with --hydra-smoke-record in a live run"
        )
    return RecordedFolder(folder, tuple(by_owner.values()), by_owner)


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    seen = 0
    for place, _, names in os.walk(folder):
        seen += 1 + len(names)
        if seen > _MOST:
            raise ValueError(
                f"{folder} has more than {_MOST:,} files and folders: give a folder of recordings"
            )
        found += [Path(place, name) for name in names if name.endswith(".json")]
    # Opening something other than a file, such as a pipe, may block; a broken link is reported.
    return sorted(file for file in found if file.is_file() or not file.exists())


def _read(file: Path) -> Recording | None:
    """Read a file; None for JSON that is no recording."""
    data = file.read_bytes()
    try:
        head = _Head.model_validate_json(data)
    except ValidationError as problem:
        if problem.errors()[0]["type"] == "json_invalid":
            raise
        return None
    if head.format != FORMAT:
        return None
    if head.version != VERSION or type(head.version) is not int:
        raise _OtherVersionError(
            f"it is of version {head.version!r} of the format, and this release reads {VERSION}: "
            "record it again, or use the release that wrote it"
        )
    recording = _RECORDING.validate_json(data)
    recording.file = file
    return recording


def _words(problem: ValidationError) -> str:
    """Return the first thing that is wrong with a file, and where."""
    first = problem.errors(include_url=False)[0]
    where = "".join(f"[{it}]" if isinstance(it, int) else f".{it}" for it in first["loc"])[1:]
    said = first["msg"].removeprefix("Value error, ").replace("Input", "it")
    return f"{where}: {said}" if where else said
