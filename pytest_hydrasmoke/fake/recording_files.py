"""Read and check a folder of recordings; `docs/reference/recordings.md` has the format.

A file is read line by line: of a stream's chunks with one line each, only the positions are kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple, cast, get_args

from .recordings import (
    ChunkLines,
    Claim,
    CountedEvents,
    End,
    PlayableTurn,
    RecordedFolder,
    Recording,
    Refused,
    bytes_of,
    chunk_in,
    chunk_of,
    stamp_of,
)

FORMAT, VERSION = "pytest-hydrasmoke recording", 1
_SHOWN = 10
"""Most problems of a folder that are reported."""
_MOST = 100_000
"""Most files and folders below it: more is a whole disk, and not a folder of recordings."""


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
        except (ValueError, RecursionError) as problem:
            problems.append(f"{file} is damaged: {problem}: restore it, or record it again")
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
    with file.open("rb") as lines:
        stamp = stamp_of(os.fstat(lines.fileno()))
        value = _parsed(lines)
    given = _Value(value if isinstance(value, dict) else {})
    if given.at("format").it != FORMAT:
        return None
    version = given.at("version").it
    if version != VERSION or type(version) is not int:
        raise _OtherVersionError(
            f"it is of version {version!r} of the format, and this release reads {VERSION}: "
            "record it again, or use the release that wrote it"
        )
    of = given.at("of").text()
    turns = [_turn(file, stamp, of, *pair) for pair in enumerate(given.at("turns").items())]
    return Recording(file, of, date.fromisoformat(given.at("recorded").text()), turns)


class _Value(NamedTuple):
    """A value of a file, and where it stands; each method raises ValueError if it is no such."""

    it: object
    where: str = ""

    def fields(self) -> Mapping[str, object]:
        return cast(Mapping[str, object], self._of(dict, "an object"))

    def at(self, key: str) -> _Value:
        """Return a field of an object, which is None if it is not there."""
        return _Value(self.fields().get(key), f"{self.where}.{key}".removeprefix("."))

    def items(self) -> Sequence[_Value]:
        values = cast(list[object], self._of(list, "a list"))
        return [_Value(it, f"{self.where}[{number}]") for number, it in enumerate(values)]

    def text(self) -> str:
        return cast(str, self._of(str, "a text"))

    def number(self, least: int) -> int:
        if type(self.it) is not int or self.it < least:
            raise self.must_be(f"a whole number, {least} or more, not {self.it!r}")
        return self.it

    def _of(self, kind: type[object], what: str) -> object:
        if not isinstance(self.it, kind):
            raise self.must_be(f"{what}, not {self.it!r}")
        return self.it

    def must_be(self, what: str) -> ValueError:
        return ValueError(f"{self.where} must be {what}")


def _turn(file: Path, stamp: tuple[int, int], of: str, number: int, given: _Value) -> PlayableTurn:
    end, refused, counted = map(given.at, ("end", "refused", "llm_events"))
    if (end.it is None) == (refused.it is None) or end.it not in (None, *get_args(End)):
        kinds = ", ".join(get_args(End))
        raise ValueError(f"{given.where} must have either refused, or an end of {kinds}")
    spec = given.at("spec").fields()
    return PlayableTurn(
        of=of,
        number=number,
        file=file,
        stamp=stamp,
        run=given.at("run").number(1),
        claim=_claim(of, given.at("instance")),
        spec={name: text for name, text in spec.items() if isinstance(text, str)},
        message=given.at("message").text(),
        llm_events=None if counted.it is None else _counted(counted),
        end=cast(End | None, end.it),
        chunks=() if end.it is None else _chunks(given.at("chunks")),
        refused=None if refused.it is None else _refused(refused),
    )


def _claim(of: str, given: _Value) -> Claim:
    if given.it is None or given.it == "shared":
        return cast(Claim, given.it)
    if isinstance(given.it, dict):
        of, given = given.at("of").text(), given._replace(it=given.at("number").it)
    return of, given.number(0)


def _counted(given: _Value) -> CountedEvents:
    providers = given.at("providers").items()
    return CountedEvents(given.at("count").number(0), tuple(str(one.it) for one in providers))


def _refused(given: _Value) -> Refused:
    status = given.at("status")
    if status.number(200) > 599:
        raise status.must_be(f"a status of HTTP, not {status.it}")
    body = bytes_of(given.at("body").it)
    if body is None:
        raise given.at("body").must_be("a text, or base64")
    return Refused(status.number(200), given.at("content_type").text(), body)


def _chunks(given: _Value) -> Sequence[bytes | ChunkLines]:
    parts: list[bytes | ChunkLines] = []
    number = 0
    for one in given.items():
        part = one.it if isinstance(one.it, ChunkLines) else chunk_of(one.it)
        if part is None:
            raise ValueError(f"{given.where}[{number}] must be [milliseconds, text or base64]")
        parts.append(part)
        number += part.number if isinstance(part, ChunkLines) else 1
    return parts


def _parsed(lines: Iterator[bytes]) -> object:
    """Parse a file, with `ChunkLines` in place of the chunks that have a line each."""
    # Each row of them becomes a NaN, which JSON itself does not have, and the rest is JSON. Strings
    # contain no line ends, so no line that looks like a chunk is part of one.
    rest, rows = bytearray(), list[ChunkLines]()
    offset, goes_on = 0, False
    for line in lines:
        if chunk_in(line) is None:
            rest += b"," + line if goes_on else line
            goes_on = False
        else:
            if goes_on:
                rows[-1] = ChunkLines(rows[-1].offset, rows[-1].number + 1)
            else:
                rows.append(ChunkLines(offset, 1))
                rest += b"NaN"
            rest += b"\n"  # Keeps line numbers, which messages about the rest contain.
            goes_on = line.rstrip().endswith(b",")
        offset += len(line)
    waiting = iter(rows)

    def row(word: str) -> ChunkLines:
        found = next(waiting, None) if word == "NaN" else None
        if found is None:
            raise ValueError(f"{word} is no JSON")
        return found

    return json.loads(bytes(rest), parse_constant=row)
