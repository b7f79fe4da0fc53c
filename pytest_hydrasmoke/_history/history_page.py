"""The history as one page, which loads nothing and runs nothing, like a run's `report.html`.

A link leads only to a pipeline run, over http or https: addresses are checked where reports are
read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_hydrasmoke._report.html import SHEET, fill

from . import summary
from .contents import History, Overview, PhaseFigures, Point
from .findings import findings
from .summary import Table, headline

MOST_LINES = 6
"""Specs that have a line in a chart."""
MOST_ROWS = 7_000
"""Rows of all tables of charts together."""
MOST_LISTED = 200
"""Rows of a table that follows no chart, and lines of what stands out."""
MARKS: Mapping[str, str] = {"passed": "✓", "failed": "✗", "leaked": "!"}
"""Marks that distinguish outcomes without colours."""
WIDTH, HEIGHT = 1000, 100
"""Of a chart, which is stretched to the available space: it contains no text."""
_OWN = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of a chart: how it is drawn, what it is, and its path."""

    style: str
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A phase, by group, with a line for each spec; time goes upwards, from 0 to `top`."""

    phase: str
    top: float
    curves: Sequence[Curve]
    numbers: Mapping[str, float]
    """Each spec's only time, where there is no more than one group: no line is drawn then."""
    undrawn: int
    """How many specs have no line."""
    budget: float | None
    table: Table


def render(history: History) -> str:
    shown = history.overviews
    first = next(iter(shown.values()))
    return fill(
        _OWN / "history.html.j2",
        SHEET,
        _OWN / "history.css",
        sections=[_section(router, overview) for router, overview in shown.items()],
        outcome=first.groups[-1].outcome,
        verdict=summary.last(first),
        skipped=history.skipped,
        marks=MARKS,
        most=MOST_LISTED,
        width=WIDTH,
        height=HEIGHT,
    )


def _section(router: str, overview: Overview) -> Mapping[str, object]:
    by_phase: dict[str, list[PhaseFigures]] = {}
    for phase in overview.phases:
        by_phase.setdefault(phase.phase, []).append(phase)
    began = [group.began for group in overview.groups]
    return {
        "name": router,
        "headline": headline(router, overview),
        "overview": overview,
        "findings": list(map(str, findings(overview))),
        "groups": summary.groups(overview),
        "charts": [chart(name, phases, overview) for name, phases in by_phase.items()],
        "times": [f"{moment:%Y-%m-%d}" for moment in (began[0], began[-1])],
        "rows": max(MOST_ROWS // max(len(by_phase), 1), 1),
        "tables": [it for it in summary.others(overview) if it.rows],
    }


def chart(name: str, phases: Sequence[PhaseFigures], overview: Overview) -> Chart:
    """Return the chart of a phase: of one spec with its slowest times, of several without."""
    drawn, alone = phases[:MOST_LINES], len(phases) == 1
    budget = max((it.budget for it in phases if it.budget is not None), default=None)
    shown = [it.slowest if alone else it.median for phase in drawn for it in phase.points]
    top = max(budget or 0.0, *shown, 0.001)

    def y(seconds: float) -> int:
        return round((1 - seconds / top) * HEIGHT)

    def path(phase: PhaseFigures, value: Callable[[Point], float]) -> str:
        # In the middle of its column: a single group is not at the edge.
        column = WIDTH / len(overview.groups)
        places = [f"{round((it.group + 0.5) * column)} {y(value(it))}" for it in phase.points]
        # A line of zero length with round ends is drawn as a dot.
        return f"M{'L'.join(places)}h0"

    curves = [] if budget is None else [Curve("budget", "budget", f"M0 {y(budget)}H{WIDTH}")]
    if alone:
        curves.append(Curve("slowest", "slowest", path(drawn[0], lambda point: point.slowest)))
        curves.append(Curve("median", "median", path(drawn[0], lambda point: point.median)))
    else:
        curves += [
            Curve(f"s{number}", it.spec.name or "-", path(it, lambda point: point.median))
            for number, it in enumerate(drawn)
        ]
    numbers = {}
    if len(overview.groups) == 1:
        numbers = {it.spec.name: point.median for it in phases for point in it.points}
    table = summary.points(name, phases, overview)
    return Chart(name, top, curves, numbers, len(phases) - len(drawn), budget, table)
