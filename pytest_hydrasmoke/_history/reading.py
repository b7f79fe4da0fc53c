"""Read reports from disk: reads are bounded, and no path in a report is followed.

What can't be read is listed, and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pytest_hydrasmoke._report.model import SCHEMA_VERSION

from .report_files import (
    Kind,
    NoReportError,
    content_of,
    json_files,
    kind_of,
    line,
    says_report,
)
from .runs import Run, worse

MOST_FILES = 100_000
"""Most files to open."""
_RUN = TypeAdapter(Run)


@dataclass(slots=True)
class Found:
    """What was found: runs, and a line for each file that is left out."""

    runs: list[Run] = field(default_factory=list[Run])
    skipped: list[str] = field(default_factory=list[str])
    unread: list[str] = field(default_factory=list[str])
    """Those that may hide a report: named as one, damaged, or out of reach."""


def read(paths: Sequence[Path]) -> Found:
    """Read the reports that `paths` name, or that lie in folders that they name.

    Of a run that is found more than once, the red report counts.
    """
    found = Found()
    runs: dict[object, Run] = {}
    others = 0
    files = json_files(paths, found.skipped.append, found.unread.append)
    for number, (path, named) in enumerate(files):
        if number == MOST_FILES:
            found.unread.append(f"more than {MOST_FILES:,} files: the rest was not read")
            break
        says = named or says_report(path.name)
        try:
            run = run_of_file(path)
        except NoReportError as error:
            if named or error.kind is Kind.OURS or (says and error.kind is Kind.DAMAGED):
                found.unread.append(line(path, str(error)))
            elif says:
                found.skipped.append(line(path, str(error)))
            else:
                others += 1
        except OSError as error:
            lines = found.unread if says else found.skipped
            lines.append(line(path, error.strerror or str(error)))
        else:
            key = run.run_id, run.began, run.fake
            runs[key] = worse(runs[key], run) if key in runs else run
    if others:
        found.skipped.append(f"other JSON files, which are no reports: {others}")
    found.runs += runs.values()
    return found


def run_of_file(path: Path) -> Run:
    """Read a report; raises `OSError`, or `NoReportError` that says what the file is instead."""
    data = content_of(path)
    try:
        return _RUN.validate_json(data)
    except ValidationError as error:
        raise _no_report(error, data) from None


def _no_report(error: ValidationError, data: bytes) -> NoReportError:
    errors = error.errors(include_url=False, include_input=True)
    if errors[0]["type"] == "json_invalid":
        return NoReportError(f"damaged: {errors[0]['msg']}", kind_of(data))
    places = {".".join(map(str, it["loc"])): it for it in errors}
    version = places.get("schema_version", {"input": 0})["input"]
    if not places.keys().isdisjoint({"", "run_id"}) or not isinstance(version, int):
        return NoReportError("not a report of this plugin", Kind.OTHER)
    if version:
        words = f"its schema_version is {version}, and this release reads {SCHEMA_VERSION}"
        return NoReportError(words, kind_of(data))
    place, first = next(iter(places.items()))
    return NoReportError(f"not a whole report: {place}: {first['msg']}", Kind.OURS)
