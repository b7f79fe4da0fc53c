"""Recordings as the fake uses them: what agents said in a live run, and to whom.

`docs/reference/recordings.md` has the format; these are its models, and what they do not name is
ignored.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass as plain
from dataclasses import field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    model_validator,
)
from pydantic.dataclasses import dataclass

from .validity import Count, Positive

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
