"""The history on a terminal, and its ten lines for a job summary or a pull request; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_hydrasmoke._base.table import Column, aligned
from pytest_hydrasmoke._report.github import code
from pytest_hydrasmoke._report.html.axis import clock

from .model import GroupFigures, History, Overview, PhaseFigures
from .short_names import shortened
from .statistics import SECONDS
from .verdict import (
    failures,
    flaky,
    is_regression,
    leaks,
    regression,
    regressions,
    without_baseline,
)

SHOWN = 10
"""Groups in the terminal's table, and lines of the summary."""
_WIDEST, _NARROWEST = 24, 8
"""Most and least characters of a group's name in the table, by the space that is left."""
_MOST_CHANGES = 40
_TIMES = 10
"""From here on a change is a factor: percents in the thousands are hard to read."""
_TITLES = ("began (UTC)", "group", "commit", "outcome", "runs", "tests", "failed", "ready")


def lines(history: History, after: int, columns: int) -> Iterator[str]:
    """Yield what `hydra-smoke history` prints on a terminal of `columns` columns."""
    for router, overview in history.overviews.items():
        yield f"hydra-smoke history: {headline(router, overview)}"
        yield from _table(overview, columns)
        yield from _changes(overview)
        yield from ("", "What stands out")
        yield from (f"  {line}" for line in standing_out(overview, after) or ["nothing"])
        yield ""
    for line in history.skipped[:SHOWN]:
        yield f"left out: {line}"
    if len(history.skipped) > SHOWN:
        yield f"left out: {len(history.skipped) - SHOWN} more"


def markdown(history: History, after: int) -> str:
    """Return the most important lines, as Markdown: names are code spans, and nothing else."""
    parts: list[str] = []
    for router, overview in history.overviews.items():
        highlights = standing_out(overview, after)
        # Regressions are among these lines already.
        calm = [phase for phase in overview.phases if not is_regression(phase, after)]
        highlights += [words for phase in calm for words in _change(phase)]
        newest = overview.groups[-1]
        parts.append(
            f"## hydra-smoke history: {newest.words}\n\n{code(headline(router, overview))}\n\n"
        )
        parts += [f"- {code(line)}\n" for line in highlights[:SHOWN]]
        if len(highlights) > SHOWN:
            parts.append(f"\nand {len(highlights) - SHOWN} lines more\n")
        parts.append("\n")
    return "".join(parts)


def headline(router: str, overview: Overview) -> str:
    """Return how much was read, and how the newest group ended."""
    runs = sum(group.runs + group.told_again for group in overview.groups)
    newest = overview.groups[-1]
    return (
        f"{router}, groups: {len(overview.groups)}, runs: {runs}; "
        f"the newest, {newest.name}, {newest.words}"
    )


def standing_out(overview: Overview, after: int) -> list[str]:
    """Return the highlights, the worst first."""
    newest = len(overview.groups) - 1
    old = sum(leak.group != newest for leak in overview.leaks)
    unjudged = without_baseline(overview)
    return [
        *(f"leak: {words}" for words in leaks(overview)),
        *(f"failure: {words}" for words in failures(overview)),
        *(f"slower: {regression(phase, overview)}" for phase in regressions(overview, after)),
        *(f"flaky: {flaky(test, test.flaky_on)}" for test in overview.tests if test.flaky_on),
        *(
            f"boots: {cell.ready} of {cell.instances} of {cell.spec.name} got ready"
            for cell in overview.cells
            if cell.ready < cell.instances
        ),
        *([f"leaks of earlier groups: {old}"] if old else []),
        *([unjudged] if unjudged else []),
    ]


def _table(overview: Overview, columns: int) -> Iterator[str]:
    shown = range(max(len(overview.groups) - SHOWN, 0), len(overview.groups))
    rows = [_row(overview.groups[number], _ready(overview, number)) for number in shown]
    cells = list(zip(*rows, strict=True))
    others = [column.width for column in _columns(cells) if column.title != "group"]
    room = min(max(columns - sum(others) - 2 * len(others), _NARROWEST), _WIDEST)
    cells[1] = tuple(shortened(cells[1], room))
    for line in aligned(_columns(cells)):
        yield "".join(text for text, _ in line)


def _columns(cells: Iterable[Iterable[str]]) -> list[Column]:
    return [
        Column(title, tuple((text, "") for text in texts), left=True)
        for title, texts in zip(_TITLES, cells, strict=True)
    ]


def _row(group: GroupFigures, ready: str) -> tuple[str, ...]:
    return (
        group.began.strftime("%Y-%m-%d %H:%M"),
        group.name,
        (group.commit or "-")[:7],
        group.words,
        str(group.runs),
        str(group.tests_passed + group.tests_failed),
        str(group.tests_failed),
        ready,
    )


def _ready(overview: Overview, number: int) -> str:
    """Return the boot time of a group: the median of its slowest spec."""
    medians = [
        point.median
        for phase in overview.phases
        if phase.phase == "ready"
        for point in phase.points
        if point.group == number
    ]
    return clock(max(medians)) if medians else "-"


def _changes(overview: Overview) -> Iterator[str]:
    changes = [words for phase in overview.phases for words in _change(phase)]
    if changes:
        yield from ("", "The newest group beside those before")
        yield from (f"  {words}" for words in changes[:_MOST_CHANGES])
        if len(changes) > _MOST_CHANGES:
            yield f"  and {len(changes) - _MOST_CHANGES} more"


def _change(phase: PhaseFigures) -> Iterator[str]:
    change = phase.change
    if change is None:
        return
    # For a negligible duration, a percentage would overstate the change.
    matters = change.before and abs(change.now - change.before) > SECONDS
    by = f" ({_by(change.now / change.before)})" if matters else ""
    many = "the one before" if change.groups == 1 else f"{change.groups} groups"
    yield (
        f"{phase.phase} of {phase.spec.name}: {clock(change.before)} in {many}, "
        f"now {clock(change.now)}{by}"
    )


def _by(ratio: float) -> str:
    return f"{ratio:,.0f} times" if ratio >= _TIMES else f"{ratio - 1:+.0%}"
