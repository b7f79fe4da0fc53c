"""Find the pyproject.toml with the table of a run: the nearest one upwards that has it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pytest_hydrasmoke._options import TABLE

from .problems import Problem

UNREADABLE = (OSError, ValueError, RecursionError)
"""Errors of a file that can't be read, or that has something else in place of a table."""


def project_file(folder: Path, places: Sequence[Path], problems: list[Problem]) -> Path | None:
    """Return the pyproject.toml to read.

    That is the nearest one with a table, upwards from `places`, the files and folders of the tests
    to run; if there is none, upwards from `folder`.
    """
    tables = list(dict.fromkeys(filter(None, map(nearest_table, places))))
    if len(tables) > 1:
        words = (
            f"each of {', '.join(map(str, tables))} has a table [{TABLE}] for some of the tests "
            "of this run, and a run has one set of settings: run pytest once for each of them"
        )
        problems.append(Problem(words))
    return tables[0] if tables else nearest_table(folder)


def nearest_table(place: Path) -> Path | None:
    """Return the nearest file with a table, upwards from a file or folder."""
    files = (home / "pyproject.toml" for home in (place, *place.parents))
    return next((file for file in files if file.is_file() and _has_table(file)), None)


def read_table(file: Path) -> dict[str, Any]:
    """Return the table of settings of a file; raises `UNREADABLE`."""
    table = _tools(file)[_NAME]
    if not isinstance(table, dict):
        raise ValueError("it is not a table")
    return cast("dict[str, Any]", table)


def source_of(file: Path | None, folder: Path) -> str:
    """Name the file as a source of settings, with its path unless it is upwards of `folder`."""
    if file is None or folder.is_relative_to(file.parent):
        return "pyproject.toml"
    return os.path.relpath(file, folder)


_NAME = TABLE.removeprefix("tool.")


def _has_table(file: Path) -> bool:
    try:
        return _NAME in _tools(file)
    except UNREADABLE:
        return True  # `sources` reports it when it reads the file.


def _tools(file: Path) -> Mapping[str, Any]:
    with file.open("rb") as opened:
        tools = tomllib.load(opened).get("tool", {})
    if not isinstance(tools, dict):
        raise ValueError("tool is not a table")
    return cast("dict[str, Any]", tools)
