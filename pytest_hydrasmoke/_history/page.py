"""The history as one page, which loads nothing and runs nothing, like a run's `report.html`.

What is drawn stands below in a table too. A link leads to a pipeline run, over http or https, and
nowhere else: addresses are checked where reports are read.
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
"""Rows of the charts' tables in all."""
MOST_LISTED = 200
"""Rows of any other table, and lines of what stands out."""
MARKS: Mapping[str, str] = {"passed": "✓", "failed": "✗", "leaked": "!"}
"""What tells outcomes apart where colours don't."""
_OWN = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Section:
    """What the page shows of live runs, or of those of the fake."""

    name: str
    headline: str
    overview: Overview
    told: list[str]
    charts: list[Chart]
    undrawn: int
    """Phases that have no chart."""


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
        told=standing_out(overview, after),
        charts=charts(drawn, len(overview.groups), MOST_ROWS),
        undrawn=len(overview.phases) - len(drawn),
    )
