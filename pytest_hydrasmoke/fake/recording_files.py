"""Read and check a folder of recordings; `docs/reference/recordings.md` has the format.

A file is read line by line: of a stream's chunks with one line each, only the positions are kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TypeAlias, cast, get_args

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
ROUTER = "router.json"
"""The file of a folder with the router's behaviour, in the form of a run's report."""
_SHOWN = 10
"""Most problems of a folder that are reported."""
_MOST = 100_000
"""Most files and folders below it: more is a whole disk, and not a folder of recordings."""

_Json: TypeAlias = Mapping[str, object]


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
    files = (file for file in found if file.is_file() or not file.exists())
    return sorted(file for file in files if file != folder / ROUTER)


def _read(file: Path) -> Recording | None:
    """Read a file; None for JSON that is no recording."""
    with file.open("rb") as lines:
        stamp = stamp_of(os.fstat(lines.fileno()))
        value = _parsed(lines)
    given = cast(_Json, value if isinstance(value, dict) else {})
    if given.get("format") != FORMAT:
        return None
    version = given.get("version")
    if version != VERSION or type(version) is not int:
        raise _OtherVersionError(
            f"it is of version {version!r} of the format, and this release reads {VERSION}: "
            "record it again, or use the release that wrote it"
        )
    of = _text("of", given)
    turns = [_turn(file, stamp, of, *pair) for pair in enumerate(_list("turns", given))]
    return Recording(file, of, date.fromisoformat(_text("recorded", given)), turns)


def _turn(file: Path, stamp: tuple[int, int], of: str, number: int, value: object) -> PlayableTurn:
    where = f"turns[{number}]"
    given = _object(where, value)
    end, refused = given.get("end"), given.get("refused")
    if (end is None) == (refused is None) or end not in (None, *get_args(End)):
        kinds = ", ".join(get_args(End))
        raise ValueError(f"{where} must have either refused, or an end of {kinds}")
    counted = given.get("llm_events")
    spec = _object(f"{where}.spec", given.get("spec"))
    return PlayableTurn(
        of=of,
        number=number,
        file=file,
        stamp=stamp,
        run=_number(f"{where}.run", given.get("run"), 1),
        claim=_claim(where, of, given.get("instance")),
        spec={name: text for name, text in spec.items() if isinstance(text, str)},
        message=_text("message", given, f"{where}."),
        llm_events=None if counted is None else _counted(f"{where}.llm_events", counted),
        end=cast(End | None, end),
        chunks=() if end is None else _chunks(where, _list("chunks", given, f"{where}.")),
        refused=None if refused is None else _refused(f"{where}.refused", refused),
    )


def _claim(where: str, of: str, value: object) -> Claim:
    if value is None or value == "shared":
        return cast(Claim, value)
    if isinstance(value, dict):
        other = cast(_Json, value)
        of, value = _text("of", other, f"{where}.instance."), other.get("number")
    return of, _number(f"{where}.instance", value, 0)


def _counted(where: str, value: object) -> CountedEvents:
    given = _object(where, value)
    providers = _list("providers", given, f"{where}.")
    return CountedEvents(
        _number(f"{where}.count", given.get("count"), 0), tuple(map(str, providers))
    )


def _refused(where: str, value: object) -> Refused:
    given = _object(where, value)
    status = _number(f"{where}.status", given.get("status"), 200)
    if status > 599:
        raise ValueError(f"{where}.status must be a status of HTTP, not {status}")
    body = bytes_of(given.get("body"))
    if body is None:
        raise ValueError(f"{where}.body must be a text, or base64")
    return Refused(status, _text("content_type", given, f"{where}."), body)


def _chunks(where: str, values: Sequence[object]) -> Sequence[bytes | ChunkLines]:
    parts: list[bytes | ChunkLines] = []
    number = 0
    for value in values:
        part = value if isinstance(value, ChunkLines) else chunk_of(value)
        if part is None:
            raise ValueError(f"{where}.chunks[{number}] must be [milliseconds, text or base64]")
        parts.append(part)
        number += part.number if isinstance(part, ChunkLines) else 1
    return parts


def _object(where: str, value: object) -> _Json:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be an object, not {value!r}")
    return cast(_Json, value)


def _text(key: str, given: _Json, where: str = "") -> str:
    value = given.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{where}{key} must be a text, not {value!r}")
    return value


def _list(key: str, given: _Json, where: str = "") -> list[object]:
    value = given.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{where}{key} must be a list, not {value!r}")
    return cast(list[object], value)


def _number(where: str, value: object, least: int) -> int:
    if type(value) is not int or value < least:
        raise ValueError(f"{where} must be a whole number, {least} or more, not {value!r}")
    return value


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
