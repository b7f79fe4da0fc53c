"""Which pyproject.toml has the table of a run."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_hydrasmoke._options import TABLE

_UNREADABLE = (OSError, ValueError, AttributeError, TypeError, RecursionError)
"""What reading a file's tables raises where there is something else in it."""


def project_file(folder: Path, places: Sequence[Path], problems: list[str]) -> Path | None:
    """Return the pyproject.toml whose table counts.

    That is the nearest one with a table, upwards from `places`, where the tests are that are run;
    where there is none such, or no places are named, the nearest one upwards from `folder`.
    """
    tables: dict[Path, None] = {}
    for place in places:
        found = filter(_has_table, _upwards(place))
        tables.update(dict.fromkeys(itertools.islice(found, 1)))
    if len(tables) > 1:
        problems.append(
            f"each of {', '.join(map(str, tables))} has a table [{TABLE}] for some of the tests "
            "that are named, and a run has one set of settings: run pytest once for each of them"
        )
    return next(itertools.chain(tables, _upwards(folder)), None)


def nearly_ours(file: Path | None) -> Iterator[str]:
    """Yield a warning for each table of a file that is not read, and may be meant to be."""
    if file is None:
        return
    found: list[str] = []
    with contextlib.suppress(*_UNREADABLE):  # Whoever reads it says what is wrong.
        found += _like_ours(file)
    for table in found:
        if table != TABLE:
            yield f"[{table}] of {file} is not read: did you mean [{TABLE}]?"


def source_of(file: Path | None, folder: Path) -> str:
    """Name the file as a source of settings, with its folder unless that is upwards."""
    if file is None or folder.is_relative_to(file.parent):
        return "pyproject.toml"
    return os.path.relpath(file, folder)


def _upwards(place: Path) -> Iterator[Path]:
    files = (home / "pyproject.toml" for home in (place, *place.parents))
    return (file for file in files if file.is_file())


def _has_table(file: Path) -> bool:
    try:
        return any(_like_ours(file))
    except _UNREADABLE:
        return True  # Whoever reads it says what is wrong.


def _like_ours(file: Path) -> Iterator[str]:
    tables: dict[str, Any] = tomllib.loads(file.read_text("utf-8")).get("tool", {})
    for name in tables:
        if re.sub(r"[^a-z]", "", name.lower()).removeprefix("pytest") == "hydrasmoke":
            yield f"tool.{name}"
