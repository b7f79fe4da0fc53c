"""Find the pyproject.toml with the table of a run: the nearest one upwards that has it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path

from pytest_hydrasmoke._options import TABLE

from .problems import Problem


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


def source_of(file: Path | None, folder: Path) -> str:
    """Name the file as a source of settings, with its path unless it is upwards of `folder`."""
    if file is None or folder.is_relative_to(file.parent):
        return "pyproject.toml"
    return os.path.relpath(file, folder)


def _has_table(file: Path) -> bool:
    try:
        return TABLE.split(".")[1] in tomllib.loads(file.read_text("utf-8")).get("tool", {})
    except (OSError, ValueError, TypeError, RecursionError):
        return True  # `sources` reports it when it reads the file.
