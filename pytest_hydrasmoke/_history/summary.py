"""A history summed up: in tables, on a terminal, as Markdown; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pytest_hydrasmoke._base.columns import Column, aligned
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._report.axis import duration
from pytest_hydrasmoke._report.github import code

from .contents import GroupFigures, History, Overview
from .findings import findings

NOTHING = "-"
"""What stands in a cell that has nothing to tell."""
LAST = 10
"""Runs in the table of a terminal, and those that are summed up."""
_MOST = 40
"""Rows and lines of a kind on a terminal."""
_LONGEST = 2_000
"""Characters of a line: a failure's words may have no end."""
_NAME = 16
"""Columns of a name there."""
RUNS = (
    "began",
    "run",
    "commit",
    "ended",
    "passed",
    "slowest ready",
    "leaked",
    "tokens",
    "branch",
)
_ON_A_TERMINAL = 6
_CHANGES = ("phase", "spec", "usual", "now", "change", "runs")
Row = tuple[str, ...]


def row(group: GroupFigures) -> Row:
    """Return what the table of runs says of a group."""
    return (
        f"{group.began:%Y-%m-%d %H:%MZ}",
        group.name,
        (group.commit or NOTHING)[:7],
        group.outcome,
        f"{group.tests_passed} of {group.tests_passed + group.tests_failed}",
        NOTHING if group.ready is None else duration(group.ready),
        str(group.leaks),
        f"{group.tokens:,}",
        group.branch or NOTHING,
    )


def changes(overview: Overview) -> list[Row]:
    """Return the phases of the newest group, beside the groups before."""
    return [
        (
            it.phase,
            str(it.spec) or NOTHING,
            duration(it.change.usual),
            duration(it.change.now),
            it.change.ratio or NOTHING,
            str(it.change.groups),
        )
        for it in overview.phases
        if it.change is not None
    ]


def headline(overview: Overview, red: Sequence[str]) -> str:
    """Return why the history is red, else the worst that was found of the newest group."""
    worst = next(findings(overview), None)
    is_bad = worst is not None and worst.is_bad
    words = red[0] if red else str(worst) if is_bad else f"passed: {overview.newest.name}"
    # What is usual is told below.
    return safe_line(words.partition(" (usually ")[0], _LONGEST)


def counted(overview: Overview) -> str:
    """Return how much was read, and what the last groups came to."""
    groups = overview.groups
    reports = sum(it.runs + it.repeated for it in groups)
    of = f", from {reports} reports" if reports > len(groups) else ""
    counts = Counter(it.outcome for it in groups[-LAST:])
    told = [f"{counts[it]} {it}" for it in ("passed", "failed", "leaked") if counts[it]]
    last = f"; of the last {LAST}, {', '.join(told)}" if len(groups) >= LAST else ""
    newest = f"the newest, {overview.newest.name}, {overview.newest.outcome}"
    return safe_line(f"runs: {len(groups)}{of}{last}; {newest}")


def lines(history: History) -> Iterator[str]:
    """Yield what `hydra-smoke history` prints on a terminal."""
    for router, overview in history.overviews.items():
        yield f"hydra-smoke history, {router}: {headline(overview, history.red)}"
        yield counted(overview)
        newest = [row(it)[:_ON_A_TERMINAL] for it in overview.groups[-LAST:]]
        yield ""
        yield from _table(RUNS[:_ON_A_TERMINAL], [(it[0], _cut(it[1]), *it[2:]) for it in newest])
        if rows := changes(overview):
            yield from ("", "The newest run beside those before")
            yield from _table(_CHANGES, rows[:_MOST])
            yield from _and_more(len(rows) - _MOST, "phases")
        yield from ("", "What stands out")
        yield from (f"  {it}" for it in _told(overview) or ["nothing"])
        yield ""
    yield from (f"left out: {line}" for line in history.skipped[:LAST])
    yield from _and_more(len(history.skipped) - LAST, "left out")


def markdown(history: History) -> str:
    """Return the most important lines, as Markdown: names are code spans, and nothing else."""
    parts: list[str] = []
    for router, overview in history.overviews.items():
        told = [*dict.fromkeys([*history.red, *_told(overview)])]
        rows, kind = changes(overview), headline(overview, history.red).partition(":")[0]
        parts += [f"## hydra-smoke history, {router}: {kind}", "", code(counted(overview)), ""]
        parts += [f"- {code(line)}" for line in told[:LAST]]
        parts += [f"\n{line}" for line in _and_more(len(told) - LAST, "lines")]
        if rows:
            cells = ([code(cell) for cell in it] for it in rows[:LAST])
            heads = (_CHANGES, ["---"] * len(_CHANGES))
            parts += ["", *(f"| {' | '.join(it)} |" for it in (*heads, *cells))]
            parts += [f"\n{line}" for line in _and_more(len(rows) - LAST, "phases")]
        parts.append("")
    return "\n".join(parts)


def _told(overview: Overview) -> list[str]:
    return [safe_line(str(it), _LONGEST) for it in findings(overview)]


def _and_more(number: int, what: str) -> Iterator[str]:
    if number > 0:
        yield f"and {number} more {what}"


def _cut(name: str) -> str:
    """Cut a name in its middle: names of pipeline runs differ at one end."""
    half = _NAME // 2
    return name if len(name) <= _NAME else f"{name[: half - 1]}…{name[-half:]}"


def _table(titles: Row, rows: Iterable[Row]) -> Iterator[str]:
    safe = ([safe_line(cell) for cell in it] for it in rows)
    columns: Sequence[Column] = [
        Column(title, tuple((cell, "") for cell in cells), left=True)
        for title, *cells in zip(titles, *safe, strict=True)
    ]
    for line in aligned(columns):
        yield "".join(text for text, _ in line)
