"""The history on a terminal, and its most important lines as Markdown; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_hydrasmoke._base.table import Column, aligned
from pytest_hydrasmoke._base.width import width_of
from pytest_hydrasmoke._report.github import code

from . import tables
from .findings import findings
from .model import History, Overview

SHOWN = 10
"""Groups in the table, lines of the summary, and files that are left out and named."""
_MOST_ROWS = 40
_COLUMNS = 8
"""Columns of the groups on a terminal; the page has all."""
_WIDEST, _NARROWEST = 24, 8
"""Most and least columns of a group's name, by the space that is left."""
_GAP = "  "


def lines(history: History, columns: int) -> Iterator[str]:
    """Yield what `hydra-smoke history` prints on a terminal of `columns` columns."""
    for router, overview in history.overviews.items():
        yield f"hydra-smoke history: {headline(router, overview)}"
        yield from _groups(overview, columns)
        changes = tables.changes(overview)
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
        changes = tables.changes(overview)
        if changes.rows:
            rows = ([code(cell) for cell in row] for row in changes.rows[:SHOWN])
            heads = (changes.columns, ["---"] * len(changes.columns))
            parts += ["", *(f"| {' | '.join(row)} |" for row in (*heads, *rows))]
            parts += [f"\n{line}" for line in _and_more(len(changes.rows) - SHOWN, "phases")]
        parts.append("")
    return "\n".join(parts)


def headline(router: str, overview: Overview) -> str:
    """Return how much was read, and how the newest group ended."""
    runs = sum(group.runs + group.told_again for group in overview.groups)
    newest = overview.groups[-1]
    return (
        f"{router}, groups: {len(overview.groups)}, runs: {runs}; "
        f"the newest, {newest.name}, {newest.ended}"
    )


def _and_more(number: int, what: str) -> Iterator[str]:
    if number > 0:
        yield f"and {number} more {what}"


def _groups(overview: Overview, columns: int) -> Iterator[str]:
    """Yield the newest groups, the newest last; names are cut so that lines fit."""
    table = tables.groups(overview)
    rows = [row[:_COLUMNS] for row in (table.columns, *table.rows[:SHOWN][::-1])]
    others = [column.width for column in _as_columns([row[:1] + row[2:] for row in rows])]
    room = min(max(columns - sum(others) - len(_GAP) * len(others), _NARROWEST), _WIDEST)
    yield from _aligned([(row[0], _cut(row[1], room), *row[2:]) for row in rows])


def _cut(name: str, room: int) -> str:
    """Cut a name in its middle: names of pipeline runs differ at one end."""
    if width_of(name) <= room:
        return name
    first = last = ""
    for letter, other in zip(name, reversed(name), strict=True):
        if width_of(f"{first}{other}{last}") < room:
            last = other + last
        if width_of(f"{first}{letter}{last}") < room:
            first += letter
    return f"{first}…{last}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for line in aligned(_as_columns(rows)):
        yield "".join(text for text, _ in line)


def _as_columns(rows: Sequence[Sequence[str]]) -> list[Column]:
    return [
        Column(title, tuple((cell, "") for cell in cells), left=True)
        for title, *cells in zip(*rows, strict=True)
    ]
