"""A history as a page, and in the files that a caller names: never over a report."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.files import replace
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._report.html import SHEET, fill
from pytest_hydrasmoke._report.run_files import as_json

from . import summary
from .contents import History, Overview, PhaseFigures
from .findings import findings
from .reports import is_report
from .runs import Spec
from .summary import markdown

MOST_LINES = 4
"""Specs that have a line in a chart; those that have regressed come first."""
WIDTH, HEIGHT = 1000, 100
"""Of a chart's lines, which are stretched to the available space."""
MARKS: Mapping[str, str] = {"passed": "✓", "failed": "✗", "leaked": "!"}
"""Marks that distinguish outcomes without colours."""
_OWN = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Line:
    """A spec's line in a chart, and its limit: paths, drawn from above."""

    name: str
    style: str
    path: str
    limit: str
    """No path where there is no limit."""
    phase: PhaseFigures


@dataclass(frozen=True, slots=True)
class Chart:
    """A phase over the days, with a line for each spec; time goes upwards, from 0 to `top`."""

    phase: str
    top: float
    lines: Sequence[Line]
    undrawn: int
    """How many specs have no line."""


def render(history: History) -> str:
    """Return the page of a history that has something to show."""
    shown = history.overviews
    worst = summary.headline(next(iter(shown.values())), history.red)
    return fill(
        _OWN / "history.html.j2",
        SHEET,
        _OWN / "history.css",
        sections=[_section(router, overview) for router, overview in shown.items()],
        worst=worst,
        passed=worst.startswith("passed"),
        red=history.red,
        skipped=history.skipped,
        titles=summary.RUNS,
        marks=MARKS,
        width=WIDTH,
        height=HEIGHT,
    )


def _section(router: str, overview: Overview) -> Mapping[str, object]:
    by_phase: dict[str, list[PhaseFigures]] = {}
    for phase in overview.phases:
        by_phase.setdefault(phase.phase, []).append(phase)
    specs = [*dict.fromkeys(phase.spec for phase in overview.phases)]
    days = _Days(overview)
    return {
        "router": router,
        "counted": summary.counted(overview),
        "findings": [*findings(overview)],
        "charts": [_chart(name, its, specs, days) for name, its in by_phase.items()],
        "dates": days.labels,
        "marks": [
            (f"{days.x(number) * 100:.1f}%", group)
            for number, group in enumerate(overview.groups)
            if group.outcome != "passed"
        ],
        "rows": [(group, summary.row(group)) for group in reversed(overview.groups)],
    }


class _Days:
    """The x axis of an overview's charts: from its first group to its last."""

    def __init__(self, overview: Overview) -> None:
        self._times = [group.began for group in overview.groups]
        self._first, self._span = self._times[0], self._times[-1] - self._times[0]

    def x(self, number: int) -> float:
        """Return where a group stands, as a share of the width; a single one in the middle."""
        # At the edges marks would be cut off.
        share = (self._times[number] - self._first) / self._span if self._span else 0.5
        return 0.02 + 0.96 * share

    @property
    def labels(self) -> list[str]:
        """The axis's dates: of its start, its middle and its end."""
        return [*dict.fromkeys(self._label(self._first + self._span * it) for it in (0, 0.5, 1))]

    def _label(self, at: datetime) -> str:
        return f"{at:%Y-%m-%d}" if self._span > timedelta(days=3) else f"{at:%m-%d %H:%M}"


def _chart(name: str, phases: Sequence[PhaseFigures], specs: Sequence[Spec], days: _Days) -> Chart:
    drawn = phases[:MOST_LINES]
    limits = [it.change.limit if it.change is not None else None for it in drawn]
    times = [point.seconds for it in drawn for point in it.points]
    # Marks have space above the lines.
    top = 1.2 * max(*times, *(it for it in limits if it is not None), 0.001)

    def y(seconds: float) -> int:
        return round((1 - seconds / top) * HEIGHT)

    lines: list[Line] = []
    for phase, limit, short in zip(drawn, limits, _short_names(drawn), strict=True):
        points = (f"{round(days.x(it.group) * WIDTH)} {y(it.seconds)}" for it in phase.points)
        # A line of zero length with round ends is drawn as a dot.
        path = f"M{'L'.join(points)}h0"
        style = f"s{specs.index(phase.spec) % MOST_LINES}"
        ceiling = "" if limit is None else f"M0 {y(limit)}H{WIDTH}"
        lines.append(Line(short, style, path, ceiling, phase))
    return Chart(name, top, lines, len(phases) - len(drawn))


def _short_names(phases: Iterable[PhaseFigures]) -> list[str]:
    """Return each spec's name, without the words that all of them share."""
    specs = [astuple(it.spec) for it in phases]
    differing = [at for at in range(len(specs[0])) if len({it[at] for it in specs}) > 1]
    return [str(Spec(*(it[at] if at in differing else "" for at in range(4)))) for it in specs]


STANDARD_OUTPUT = Path("-")


def refuse_reports(views: Mapping[str, Path]) -> None:
    """Raise `ConfigError` where an output file is a report, or is named twice."""
    written = [os.path.realpath(path) for path in views.values()]
    for path in views.values():
        if written.count(os.path.realpath(path)) > 1:
            raise ConfigError(
                f"{_shown(path)} is named twice: one view would overwrite another",
                next_step="name a file of its own for each of --html, --json and --markdown",
            )
        if is_report(path):
            raise ConfigError(
                f"{safe_line(str(path))} is the report of a run", next_step="name another file"
            )


def _shown(path: Path) -> str:
    return "standard output" if path == STANDARD_OUTPUT else safe_line(str(path))


def write(history: History, views: Mapping[str, Path], say: Callable[[str], None]) -> None:
    """Write the views that are asked for; raises `ConfigError` for one that can't be written.

    Files are replaced atomically. `say` prints to standard output.
    """
    made: dict[str, Callable[[History], str]] = {
        "html": _page,
        "json": as_json,
        "markdown": markdown,
    }
    for name, path in views.items():
        text = made[name](history)
        if path == STANDARD_OUTPUT:
            say(text.removesuffix("\n"))
            continue
        try:
            _put(path, text)
        except OSError as error:
            raise ConfigError(
                f"{safe_line(str(path))} can't be written: {error.strerror}",
                next_step="name a file that can be, in a folder that is there",
            ) from None


def _page(history: History) -> str:
    # Imported here: it takes time to load.
    from .views import render

    return render(history)


def _put(path: Path, text: str) -> None:
    if path.exists() and not path.is_file():
        # A pipe or a device can't be replaced.
        path.write_text(text, "utf-8", newline="\n")
        return
    # The target of a link is written, and not the link. Others may read it, like other new files.
    real = Path(os.path.realpath(path))
    mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else None
    replace(real, text, 0o666)
    if mode is not None:
        real.chmod(mode)
