"""The history as one page, which loads nothing and runs nothing, like a run's `report.html`.

A link leads only to a pipeline run, over http or https: addresses are checked where reports are
read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_hydrasmoke._report.html.environment import TEMPLATES, environment, policy

from . import views
from .findings import findings
from .model import History, Overview, PhaseFigures, Point
from .views import Table, headline

MOST_CHARTS = 24
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
class Chart:
    """A phase of one spec, by group; time goes upwards, from 0 to `top`."""

    phase: PhaseFigures
    top: float
    lines: Mapping[str, str]
    """The path of each line, by its name."""
    table: Table


def render(history: History) -> str:
    files = (TEMPLATES / "report.css", _OWN / "history.css")
    style = "".join(file.read_text("utf-8") for file in files)
    page = environment(_OWN, {}).get_template("history.html.j2")
    return page.render(
        sections=[_section(router, overview) for router, overview in history.overviews.items()],
        outcome=next(iter(history.overviews.values())).groups[-1].outcome,
        skipped=history.skipped,
        style=style,
        policy=policy(style),
        marks=MARKS,
        most=MOST_LISTED,
        width=WIDTH,
        height=HEIGHT,
    )


def _section(router: str, overview: Overview) -> Mapping[str, object]:
    drawn = overview.phases[:MOST_CHARTS]
    return {
        "name": router,
        "headline": headline(router, overview),
        "overview": overview,
        "findings": list(map(str, findings(overview))),
        "groups": views.groups(overview),
        "charts": [chart(phase, overview) for phase in drawn],
        "undrawn": len(overview.phases) - len(drawn),
        "rows": max(MOST_ROWS // max(len(drawn), 1), 1),
        "tables": [it for it in views.others(overview) if it.rows],
    }


def chart(phase: PhaseFigures, overview: Overview) -> Chart:
    top = max(phase.budget or 0.0, *(point.slowest for point in phase.points), 0.001)

    def y(seconds: float) -> int:
        return round((1 - seconds / top) * HEIGHT)

    def line(value: Callable[[Point], float]) -> str:
        # In the middle of its column: a single group is not at the edge.
        column = WIDTH / len(overview.groups)
        places = [f"{round((it.group + 0.5) * column)} {y(value(it))}" for it in phase.points]
        # A line of zero length with round ends is drawn as a dot.
        return f"M{'L'.join(places)}h0"

    lines = {
        "slowest": line(lambda point: point.slowest),
        "median": line(lambda point: point.median),
    }
    if phase.budget is not None:
        lines = {"budget": f"M0 {y(phase.budget)}H{WIDTH}", **lines}
    return Chart(phase, top, lines, views.points(phase, overview))
