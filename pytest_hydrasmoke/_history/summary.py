"""A history summed up: in tables, which all of its views show, on a terminal, as Markdown; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import NamedTuple

from pytest_hydrasmoke._base.columns import Column, aligned, width_of
from pytest_hydrasmoke._report.axis import duration
from pytest_hydrasmoke._report.github import code

from .contents import History, Overview, PhaseFigures, Point
from .findings import findings
from .runs import Spec

NOTHING = "-"
"""What stands in a cell that has nothing to tell."""
SHOWN = 10
"""Groups in the table, lines of the summary, and files that are left out and named."""
_MOST_ROWS = 40
_COLUMNS = 8
"""Columns of the groups on a terminal; the page has all."""
_WIDEST, _NARROWEST = 24, 8
"""Most and least columns of a group's name, by the space that is left."""
_GROUPS = (
    *("began", "name", "commit", "ended", "runs", "tests_passed", "tests_failed", "ready"),
    *("leaks", "tokens", "branch"),
)
_CHANGES = ("phase", "spec", "change.before", "change.now", "change.change", "change.groups")
_POINTS = ("point.group", "spec", "point.count", "point.median", "point.slowest")
LAST = 10
"""How many of the newest groups a headline sums up."""
_BOOTS = ("spec", "instances", "ready", "models")
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


class _SpecPoint(NamedTuple):
    """A point of a phase, with the spec that it is of."""

    spec: Spec
    point: Point


def last(overview: Overview) -> str:
    """Return what the newest groups came to, in words."""
    newest = overview.groups[-LAST:]
    counts = Counter(group.outcome for group in newest)
    if len(newest) == 1:
        return newest[0].outcome.capitalize()
    told = [f"{counts[it]} {it}" for it in ("passed", "failed", "leaked") if counts[it]]
    return f"Of the last {len(newest)}, {', '.join(told)}"


def groups(overview: Overview) -> Table:
    return _table(overview.noun.capitalize(), overview.groups[::-1], _GROUPS, overview)


def points(name: str, phases: Iterable[PhaseFigures], overview: Overview) -> Table:
    """Return a phase by group and spec, the newest first."""
    every = [_SpecPoint(phase.spec, it) for phase in phases for it in phase.points]
    newest = sorted(every, key=lambda it: it.point.group, reverse=True)
    return _table(name, newest, _POINTS, overview)


def others(overview: Overview) -> list[Table]:
    """Return the tables that a page has besides."""
    return [
        _changes(overview),
        _table("Boots", overview.cells, _BOOTS, overview),
        _table("Tests", overview.tests, _TESTS, overview),
        _table("Leaks", overview.leaks[::-1], _LEAKS, overview),
    ]


def _changes(overview: Overview) -> Table:
    """Return the phases of the newest group, beside the groups before."""
    changed = [phase for phase in overview.phases if phase.change is not None]
    one = overview.noun.removesuffix("s")
    return _table(f"The newest {one} beside those before", changed, _CHANGES, overview)


def _table(
    title: str, figures: Iterable[object], fields: Sequence[str], overview: Overview
) -> Table:
    rows = [[attrgetter(field)(it) for field in fields] for it in figures]
    names = [field.rpartition(".")[2] for field in fields]
    numbers = frozenset(
        at
        for at, name in enumerate(names)
        if name not in _OF_A_GROUP and any(isinstance(row[at], int | float) for row in rows)
    )
    cells = [tuple(map(partial(_cell, overview), names, row)) for row in rows]
    columns = tuple(name.removeprefix("tests_").replace("_", " ") for name in names)
    return Table(title, columns, cells, numbers)


def _cell(overview: Overview, name: str, value: object) -> str:
    match value:
        case None | "":
            return NOTHING
        case Spec():
            return value.name or NOTHING
        case datetime():
            return f"{value:%Y-%m-%d %H:%MZ}"
        case int() if name in _OF_A_GROUP:
            return overview.groups[value].name
        case str() if name == "commit":
            return value[:7]
        case float():
            return duration(value)
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def lines(history: History, columns: int) -> Iterator[str]:
    """Yield what `hydra-smoke history` prints on a terminal of `columns` columns."""
    for router, overview in history.overviews.items():
        yield f"hydra-smoke history: {headline(router, overview)}"
        yield from _newest(groups(overview), columns)
        changes = _changes(overview)
        if changes.rows:
            yield from ("", changes.title)
            yield from _aligned([changes.columns, *changes.rows[:_MOST_ROWS]])
            yield from _and_more(len(changes.rows) - _MOST_ROWS, "phases")
        yield from ("", "What stands out")
        yield from (f"  {it}" for it in list(map(str, findings(overview))) or ["nothing"])
        yield ""
    yield from (f"left out: {line}" for line in history.skipped[:SHOWN])
    yield from _and_more(len(history.skipped) - SHOWN, "left out")


def markdown(history: History) -> str:
    """Return the most important lines, as Markdown: names are code spans, and nothing else."""
    parts: list[str] = []
    for router, overview in history.overviews.items():
        found = list(map(str, findings(overview)))
        parts += [f"## hydra-smoke history: {overview.groups[-1].ended}", ""]
        parts += [code(headline(router, overview)), ""]
        parts += [f"- {code(line)}" for line in found[:SHOWN]]
        parts += [f"\n{line}" for line in _and_more(len(found) - SHOWN, "lines")]
        changes = _changes(overview)
        if changes.rows:
            rows = ([code(cell) for cell in row] for row in changes.rows[:SHOWN])
            heads = (changes.columns, ["---"] * len(changes.columns))
            parts += ["", *(f"| {' | '.join(row)} |" for row in (*heads, *rows))]
            parts += [f"\n{line}" for line in _and_more(len(changes.rows) - SHOWN, "phases")]
        parts.append("")
    return "\n".join(parts)


def headline(router: str, overview: Overview) -> str:
    """Return how much was read, what the last groups came to, and how the newest ended."""
    runs = sum(group.runs + group.told_again for group in overview.groups)
    counted = f"runs: {runs}"
    if overview.noun == "groups":
        counted = f"groups: {len(overview.groups)}, {counted}"
    words = last(overview)
    summed = "" if len(overview.groups) == 1 else f"; {words[0].lower()}{words[1:]}"
    newest = overview.groups[-1]
    return f"{router}, {counted}{summed}; the newest, {newest.name}, {newest.ended}"


def _and_more(number: int, what: str) -> Iterator[str]:
    if number > 0:
        yield f"and {number} more {what}"


def _newest(table: Table, columns: int) -> Iterator[str]:
    """Yield the newest groups, the newest last; names are cut so that lines fit."""
    rows = [row[:_COLUMNS] for row in (table.columns, *table.rows[:SHOWN][::-1])]
    without = max(map(width_of, _aligned([(row[0], "", *row[2:]) for row in rows])))
    room = min(max(columns - without, _NARROWEST), _WIDEST)
    yield from _aligned([(row[0], _cut(row[1], room), *row[2:]) for row in rows])


def _cut(name: str, room: int) -> str:
    """Cut a name in its middle: names of pipeline runs differ at one end."""
    shown, kept = name, min(len(name), room)
    while width_of(shown) > room:
        kept -= 1
        shown = f"{name[: kept // 2]}…{name[len(name) - kept + kept // 2 :]}"
    return shown


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    columns = [
        Column(title, tuple((cell, "") for cell in cells), left=True)
        for title, *cells in zip(*rows, strict=True)
    ]
    for line in aligned(columns):
        yield "".join(text for text, _ in line)
