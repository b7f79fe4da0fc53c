"""The tables of a history, which all of its views show; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from pydantic import BaseModel

from pytest_hydrasmoke._report.html.axis import clock

from .model import Overview, PhaseFigures
from .runs import Spec

NOTHING = "-"
"""What stands in a cell that has nothing to tell."""
_GROUPS = (
    *("began", "name", "commit", "ended", "runs", "tests_passed", "tests_failed", "ready"),
    *("leaks", "tokens", "branch"),
)
_CHANGES = ("phase", "spec", "change.before", "change.now", "change.change", "change.groups")
_POINTS = ("group", "count", "median", "slowest")
_BOOTS = ("spec", "instances", "ready")
_TESTS = ("test", "words", "last_failed", "flaky", "passed", "failed", "runs", "runs_passed")
_LEAKS = ("group", "key", "id", "way_out")
"""The fields of each table's figures, which name its columns."""
_OF_A_GROUP = ("group", "last_failed")
"""Fields that name a group by its place."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the most important rows and columns are the first ones."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numbers: frozenset[int]
    """The columns that have numbers or times, and nothing else."""


def groups(overview: Overview) -> Table:
    """Return the groups, the newest first."""
    return _table("Groups", overview.groups[::-1], _GROUPS, overview)


def changes(overview: Overview) -> Table:
    """Return the phases of the newest group, beside the groups before."""
    changed = [phase for phase in overview.phases if phase.change is not None]
    return _table("The newest group beside those before", changed, _CHANGES, overview)


def points(phase: PhaseFigures, overview: Overview) -> Table:
    """Return a phase by group, the newest first."""
    return _table(phase.phase, phase.points[::-1], _POINTS, overview)


def others(overview: Overview) -> list[Table]:
    """Return the tables that a page has besides."""
    return [
        changes(overview),
        _table("Boots", overview.cells, _BOOTS, overview),
        _table("Tests", overview.tests, _TESTS, overview),
        _table("Leaks", overview.leaks[::-1], _LEAKS, overview),
    ]


def _table(
    title: str, figures: Iterable[BaseModel], fields: Sequence[str], overview: Overview
) -> Table:
    rows = [[attrgetter(field)(it) for field in fields] for it in figures]
    numbers = frozenset(
        at
        for at, field in enumerate(fields)
        if field not in _OF_A_GROUP and any(isinstance(row[at], int | float) for row in rows)
    )
    names = (field.rpartition(".")[2].removeprefix("tests_") for field in fields)
    cells = [
        tuple(_cell(it, field, overview) for it, field in zip(row, fields, strict=True))
        for row in rows
    ]
    return Table(title, tuple(name.replace("_", " ") for name in names), cells, numbers)


def _cell(value: object, field: str, overview: Overview) -> str:
    match value:
        case None | "":
            return NOTHING
        case Spec():
            return value.name or NOTHING
        case datetime():
            return f"{value:%Y-%m-%d %H:%MZ}"
        case int() if field in _OF_A_GROUP:
            return overview.groups[value].name
        case str() if field == "commit":
            return value[:7]
        case float():
            return clock(value)
        case int():
            return f"{value:,}"
        case _:
            return str(value)
