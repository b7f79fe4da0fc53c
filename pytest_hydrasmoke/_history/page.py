"""The history as one page, which loads nothing and runs nothing, like a run's `report.html`.

Each chart has a table below it. A link leads only to a pipeline run, over http or https: addresses
are checked where reports are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_hydrasmoke._report.html.environment import TEMPLATES, environment, policy

from .chart import HEIGHT, WIDTH, Chart, charts
from .model import History, Overview
from .terminal import headline, standing_out
from .verdict import way_out

MOST_CHARTS = 24
MOST_ROWS = 7_000
"""Rows of all tables of charts together."""
MOST_LISTED = 200
"""Rows of any other table, and lines of highlights."""
MARKS: Mapping[str, str] = {"passed": "✓", "failed": "✗", "leaked": "!"}
"""Marks that distinguish outcomes without colours."""
_OWN = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Section:
    """The page's section on live runs, or on those of the fake."""

    name: str
    headline: str
    overview: Overview
    highlights: list[str]
    charts: list[Chart]
    undrawn: int
    """Phases without a chart."""


def render(history: History, after: int) -> str:
    """Return the page."""
    style = (TEMPLATES / "report.css").read_text("utf-8") + (_OWN / "history.css").read_text(
        "utf-8"
    )
    sections = [_section(router, overview, after) for router, overview in history.overviews.items()]
    page = environment(_OWN, {"way_out": way_out})
    return page.get_template("history.html.j2").render(
        sections=sections,
        outcome=sections[0].overview.groups[-1].outcome,
        skipped=history.skipped,
        style=style,
        policy=policy(style),
        marks=MARKS,
        most=MOST_LISTED,
        width=WIDTH,
        height=HEIGHT,
    )


def _section(router: str, overview: Overview, after: int) -> Section:
    drawn = overview.phases[:MOST_CHARTS]
    return Section(
        name=router,
        headline=headline(router, overview),
        overview=overview,
        highlights=standing_out(overview, after),
        charts=charts(drawn, len(overview.groups), MOST_ROWS),
        undrawn=len(overview.phases) - len(drawn),
    )
