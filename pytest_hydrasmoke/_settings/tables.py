"""The table of a run's settings: in the nearest pyproject.toml upwards that has one."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from pytest_hydrasmoke._base.text import nearest
from pytest_hydrasmoke._options import SECRETS, TABLE, variable

from .config import HydraSmokeConfig
from .problems import Problem
from .variables import letters

PATHS = ("output", "record", "ca_file", "client_cert", "client_key")
"""Settings that name a file or a folder, but for the token's."""
_NAME = TABLE.removeprefix("tool.")
_UNREADABLE = (OSError, ValueError, RecursionError)
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
    return next((file for file in files if os.path.isfile(file) and _has_table(file)), None)


def read_table(file: Path | None, problems: list[Problem]) -> dict[str, Any]:
    """Read the table of a file; paths in it are relative to the file's folder."""
    if file is None:
        return {}
    try:
        found = _alike(file)
        table = found.pop(_NAME, {})
        if not isinstance(table, dict):
            raise ValueError("it is not a table")
    except _UNREADABLE as error:
        problems.append(Problem(f"[{TABLE}] of {file} can't be read: {error}"))
        return {}
    for name in found:
        words = f"[tool.{name}] of {file} is not read: did you mean [{TABLE}]?"
        problems.append(Problem(words))
    table = cast("dict[str, Any]", table)
    for name in [name for name in table if name.lower() in SECRETS]:
        del table[name]
        own_file = ", or token_file" if name.lower() == "token" else ""
        words = (
            f"{name.lower()} must not be in [{TABLE}] of {file}, which others can read: "
            f"set {variable(name)} in the environment{own_file}"
        )
        problems.append(Problem(words, (name.lower(),)))
    for name in [name for name in table if name not in HydraSmokeConfig.model_fields]:
        del table[name]
        near = nearest(name.lower(), HydraSmokeConfig.model_fields)
        hint = f"did you mean {near}?" if near else "docs/reference/settings.md lists all keys"
        words = f"[{TABLE}] of {file} has the unknown key {name}: {hint}"
        problems.append(Problem(words, (near or name,)))
    for name in ("token_file", *PATHS):
        if isinstance(table.get(name), str) and table[name].strip():
            table[name] = file.parent / table[name]
    scenario = table.get("scenario")
    if isinstance(scenario, str) and scenario and _is_path(scenario, file.parent):
        table["scenario"] = str(file.parent / scenario)
    return table


def _is_path(scenario: str, home: Path) -> bool:
    """Return whether a scenario is a file or a folder; a ready-made one of its name comes first."""
    from pytest_hydrasmoke.fake.presets import READY_MADE

    if scenario in READY_MADE:
        return False
    return bool(Path(scenario).suffix) or os.path.isdir(home / scenario)


def source_of(file: Path | None, folder: Path) -> str:
    """Name the file as a source of settings, with its path unless it is upwards of `folder`."""
    if file is None or folder.is_relative_to(file.parent):
        return "pyproject.toml"
    return os.path.relpath(file, folder)


def _has_table(file: Path) -> bool:
    try:
        return bool(_alike(file))
    except _UNREADABLE:
        return True  # It is reported when it is read.


def _alike(file: Path) -> dict[str, Any]:
    """Return the table, and those that are misspelt as it: they count, so that they are told."""
    with file.open("rb") as opened:
        tools = tomllib.load(opened).get("tool", {})
    if not isinstance(tools, dict):
        raise ValueError("tool is not a table")
    tables = cast("dict[str, Any]", tools)
    return {name: it for name, it in tables.items() if letters(name) == letters(_NAME)}
