"""Find and read the reports of many runs.

Any JSON file may be a report, whatever its name. A name with `report` in it says that the file is
one: then it must not be left out in silence, however damaged it is.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._report.model import SCHEMA_VERSION
from pytest_hydrasmoke._report.run_files import FORM

from .runs import PastRun, worse

LARGEST = 32 * 1024 * 1024
"""Most bytes of a report, unpacked; a run of fifty instances has less than 1 MiB."""
_GZIP = b"\x1f\x8b"
_START = 1_000
_RUN = TypeAdapter(PastRun)


class NoReportError(ValueError):
    """Raised for a file that is no report, or can't be read as one; says what the file is."""

    def __init__(self, words: str, ours: bool | None) -> None:
        super().__init__(words)
        self.ours = ours
        """Whether it is a report that is cut, damaged or newer; None if nobody knows."""


class OtherVersionError(NoReportError):
    """Raised for a report of another release."""


class Found(NamedTuple):
    """What was found: runs, and a line for each file that is left out."""

    runs: list[PastRun]
    skipped: list[str]
    unread: list[str]
    """Those that may hide a report: named as one, damaged, or out of reach."""


def read(paths: Sequence[Path]) -> Found:
    """Read the reports that `paths` name, or that lie in folders that they name.

    Of a run that is found more than once, the red report counts.
    """
    found, runs = Found([], [], []), dict[object, PastRun]()
    others = 0
    for path, named in _files(paths, found):
        says = named or "report" in path.name.lower()
        try:
            run = run_of_file(path)
        except NoReportError as error:
            if named or error.ours or (says and error.ours is None):
                found.unread.append(_line(path, str(error)))
            elif says:
                found.skipped.append(_line(path, str(error)))
            else:
                others += 1
        except OSError as error:
            lines = found.unread if says else found.skipped
            lines.append(_line(path, error.strerror or str(error)))
        else:
            key = run.run_id, run.began, run.fake
            runs[key] = worse(runs[key], run) if key in runs else run
    if others:
        found.skipped.append(f"other JSON files, which are no reports: {others}")
    found.runs.extend(runs.values())
    return found


def is_report(path: Path) -> bool:
    """Return whether a file is a report, a whole one or a damaged one."""
    try:
        run_of_file(path)
    except NoReportError as error:
        return error.ours is True or isinstance(error, OtherVersionError)
    except OSError:
        return False
    return True


def _is_json(name: str) -> bool:
    return name.lower().endswith((".json", ".json.gz"))


def _files(paths: Sequence[Path], found: Found) -> Iterator[tuple[Path, bool]]:
    """Yield the files that `paths` name, and the JSON files in their folders; and which it is."""

    def note(error: OSError) -> None:
        found.unread.append(_line(error.filename, error.strerror or "it can't be read"))

    for path in paths:
        if not os.path.isdir(path):
            yield path, True
            continue
        for folder, folders, names in os.walk(path, onerror=note):
            folders.sort()
            for link in filter(os.path.islink, (Path(folder, name) for name in folders)):
                # It could lead anywhere, even in circles.
                found.skipped.append(_line(link, "a link to a folder, which is not followed"))
            yield from ((Path(folder, name), False) for name in sorted(names) if _is_json(name))


def _line(path: str | Path, words: str) -> str:
    return f"{safe_line(str(path), 1_000)}: {safe_line(words)}"


def run_of_file(path: Path) -> PastRun:
    """Read a report; raises `OSError`, or `NoReportError` that says what the file is instead."""
    data = content_of(path)
    try:
        return _RUN.validate_json(data)
    except ValidationError as error:
        raise _no_report(error, data) from None


def _no_report(error: ValidationError, data: bytes) -> NoReportError:
    errors = error.errors(include_url=False, include_input=True)
    if errors[0]["type"] == "json_invalid":
        return NoReportError(f"damaged: {errors[0]['msg']}", _begins_like_one(data))
    places = {".".join(map(str, it["loc"])): it for it in errors}
    version = places.get("schema_version", {"input": 0})["input"]
    if not places.keys().isdisjoint({"", "run_id"}) or not isinstance(version, int):
        return NoReportError("not a report of this plugin", ours=False)
    if version:
        words = f"its schema_version is {version}, and this release reads {SCHEMA_VERSION}"
        # An older one is of an earlier release: after an upgrade a folder has many.
        return OtherVersionError(words, version > SCHEMA_VERSION and _begins_like_one(data))
    place, first = next(iter(places.items()))
    return NoReportError(f"not a whole report: {place}: {first['msg']}", ours=True)


def content_of(path: Path) -> bytes:
    """Return a file's content, unpacked; raises `OSError` and `NoReportError`."""
    if not os.path.isfile(path):
        # Opening a pipe would block.
        missing = not os.path.lexists(path)
        raise NoReportError("there is no such file" if missing else "not a file", ours=None)
    data = b""
    with path.open("rb") as file:
        is_packed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        source = gzip.GzipFile(fileobj=file) if is_packed else file
        try:
            data = source.read(_START)
            data += source.read(LARGEST)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise NoReportError(f"damaged: {error}", _begins_like_one(data)) from None
    if len(data) > LARGEST:
        raise NoReportError(f"larger than {LARGEST // 1024**2} MiB", _begins_like_one(data))
    return data


def _begins_like_one(data: bytes) -> bool | None:
    return True if re.search(FORM, data[:_START]) else None
