"""Whether tests have a table of settings of their own, which their run has not read.

The settings are read before tests are collected, and so from where pytest is called, or for what
its arguments or `testpaths` name. Which folders the tests lie in is known only later.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from pytest_hydrasmoke._options import LIVE, TABLE
from pytest_hydrasmoke._settings.tables import nearest_table

from .bundled_checks import CheckModule
from .refusal import Reason


def other_tables(read: Path | None, here: Path) -> Reason:
    """Return a reason to refuse smoke tests that have another table than the one that was read."""
    return lambda items: _unread_tables(items, read, here)


def _unread_tables(items: Sequence[pytest.Item], read: Path | None, here: Path) -> str | None:
    # The bundled checks belong to no project: they use the run's settings.
    folders = {
        item.path.parent: None
        for item in items
        if item.get_closest_marker("hydra_smoke") and item.getparent(CheckModule) is None
    }
    unread = list(dict.fromkeys(_others(folders, read)))
    if not unread:
        return None
    instead = "" if read is None else f" Instead, {read} was read."
    named = os.path.relpath(unread[0].parent, here)
    return (
        f"tests of this run have a table [{TABLE}] of their own, which was not read: "
        f"{', '.join(map(str, unread))}.{instead} A run has one set of settings: name the tests "
        f"of one table, as in pytest {LIVE} {named}, and run pytest once for each, or have one "
        f"table for all of them, in {here / 'pyproject.toml'}"
    )


def _others(folders: Iterable[Path], read: Path | None) -> Iterator[Path]:
    for folder in folders:
        table = nearest_table(folder)
        # One that is further up than what was read is not this run's.
        if table is not None and (read is None or not read.parent.is_relative_to(table.parent)):
            yield table
