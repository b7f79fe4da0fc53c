"""Read and check a folder of recordings."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from .recordings import RecordedFolder, Recording

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
