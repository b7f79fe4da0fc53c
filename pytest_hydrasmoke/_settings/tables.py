"""Find the pyproject.toml with the table of a run."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pytest_hydrasmoke._options import LIVE, TABLE

from .problems import Problem

UNREADABLE = (OSError, ValueError, RecursionError)
"""Errors of a file that can't be read, or that has something else in place of a table."""
_INSTALLED = ("node_modules", "venv", "site-packages")
_DEPTH, _MOST = 4, 5_000
"""How deep, and in how many folders, a table is searched for: pytest may be called in `/`, too."""


def project_file(folder: Path, places: Sequence[Path], problems: list[Problem]) -> Path | None:
    """Return the pyproject.toml to read.

    That is the nearest one with a table, upwards from `places`, the files and folders of the tests
    to run; if there is none, the nearest one upwards from `folder`.
    """
    tables = list(dict.fromkeys(filter(None, map(nearest_table, places))))
    if len(tables) > 1:
        words = (
            f"each of {', '.join(map(str, tables))} has a table [{TABLE}] for some of the tests "
            "of this run, and a run has one set of settings: run pytest once for each of them"
        )
        problems.append(Problem(words))
    return next(iter(tables), nearest_file(folder))


def nearest_file(folder: Path) -> Path | None:
    """Return the nearest pyproject.toml, upwards from a folder."""
    return next(_upwards(folder), None)


def nearest_table(place: Path) -> Path | None:
    """Return the nearest file with a table, upwards from a file or folder."""
    return next(filter(has_table, _upwards(place)), None)


def read_table(file: Path) -> dict[str, Any]:
    """Return the table of settings of a file, empty if there is none; raises `UNREADABLE`."""
    table = _tools(_parsed(file)).get(TABLE.removeprefix("tool."), {})
    if not isinstance(table, dict):
        raise ValueError("it is not a table")
    return cast("dict[str, Any]", table)


def unread_below(file: Path | None, folder: Path) -> Iterator[str]:
    """Yield a hint that missing settings may be in a table below `folder`, if none was read."""
    if file is not None and has_table(file):
        return
    tables = [os.path.relpath(table, folder) for table in _below(folder)]
    if tables:
        yield (
            f"there is a table [{TABLE}] below this folder, which is not read: "
            f"{', '.join(tables)}. Name the tests of one of them, as in pytest {LIVE} "
            f"{os.path.dirname(tables[0])}, or change to that folder"
        )


def misnamed_tables(file: Path | None) -> Iterator[str]:
    """Yield a warning for each table of a file whose name is nearly that of the settings."""
    if file is None:
        return
    found: list[str] = []
    with contextlib.suppress(*UNREADABLE):  # `sources` reports it when it reads the file.
        found += _similar_tables(file)
    for table in found:
        if table != TABLE:
            yield f"[{table}] of {file} is not read: did you mean [{TABLE}]?"


def source_of(file: Path | None, folder: Path) -> str:
    """Name the file as a source of settings, with its path unless it is upwards of `folder`."""
    if file is None or folder.is_relative_to(file.parent):
        return "pyproject.toml"
    return os.path.relpath(file, folder)


def _upwards(place: Path) -> Iterator[Path]:
    files = (home / "pyproject.toml" for home in (place, *place.parents))
    return (file for file in files if file.is_file())


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, files in itertools.islice(os.walk(folder), _MOST):
        depth = len(Path(place).relative_to(folder).parts)
        # Find the projects of a repository; skip installed packages, and never search a whole disk.
        own = (name for name in folders if not name.startswith(".") and name not in _INSTALLED)
        folders[:] = sorted(own) if depth < _DEPTH else []
        file = Path(place, "pyproject.toml")
        if file.name in files and has_table(file):
            yield file


def has_table(file: Path) -> bool:
    """Return whether a file has a table of settings, or one with nearly its name."""
    try:
        return any(_similar_tables(file))
    except UNREADABLE:
        return True  # `sources` reports it when it reads the file.


def _similar_tables(file: Path) -> Iterator[str]:
    found = _parsed(file)
    tools = _tools(found)
    yield from _similar(tools, "tool.")
    yield from _similar(found, "")
    # Where the settings of pytest itself are.
    own = _table_in(tools, "pytest")
    yield from _similar(own, "tool.pytest.")
    yield from _similar(_table_in(own, "ini_options"), "tool.pytest.ini_options.")


def _parsed(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        return tomllib.load(opened)


def _tools(found: Mapping[str, Any]) -> Mapping[str, Any]:
    tools = found.get("tool", {})
    if not isinstance(tools, dict):
        raise ValueError("tool is not a table")
    return cast("dict[str, Any]", tools)


def _table_in(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inside = table.get(name)
    return cast("dict[str, Any]", inside) if isinstance(inside, dict) else {}


def _similar(names: Iterable[str], home: str) -> Iterator[str]:
    for name in names:
        if re.sub(r"[^a-z]", "", name.lower()).removeprefix("pytest") == "hydrasmoke":
            yield home + name
