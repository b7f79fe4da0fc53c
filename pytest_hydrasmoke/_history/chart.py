"""The chart of a phase over the groups; pure.

It is stretched to the available space, so that it contains no text: labels stand around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from .model import PhaseFigures, Point

WIDTH, HEIGHT = 1000, 100


@dataclass(frozen=True)
class Chart:
    """A phase of one spec, by group; time goes upwards, from 0 to `top`."""

    number: int
    """From 1: its anchor on the page is `p<number>`."""
    phase: PhaseFigures
    groups: int
    rows: tuple[Point, ...]
    """The points in its table: the newest ones."""

    @cached_property
    def top(self) -> float:
        return max(self.phase.budget or 0.0, *(point.slowest for point in self.phase.points), 0.001)

    @property
    def slowest(self) -> str:
        return self._line([point.slowest for point in self.phase.points])

    @property
    def p95(self) -> str:
        return self._line([point.p95 for point in self.phase.points])

    @property
    def median(self) -> str:
        return self._line([point.median for point in self.phase.points])

    @property
    def budget(self) -> str | None:
        """The path of the budget line; None without one."""
        if self.phase.budget is None:
            return None
        return f"M0 {self._y(self.phase.budget)}H{WIDTH}"

    @property
    def words(self) -> str:
        """A description of the chart, for people who can't see it."""
        return f"{self.phase.phase} of {self.phase.spec.name}: its figures are in the table below"

    def _line(self, values: Sequence[float]) -> str:
        places = [
            f"{self._x(point.group)} {self._y(value)}"
            for point, value in zip(self.phase.points, values, strict=True)
        ]
        # A line of zero length with round ends is drawn as a dot.
        return f"M{'L'.join(places)}h0"

    def _x(self, group: int) -> int:
        # In the middle of its column: a single group is not at the edge.
        return round((group + 0.5) / self.groups * WIDTH)

    def _y(self, seconds: float) -> int:
        return round((1 - seconds / self.top) * HEIGHT)


def charts(phases: Sequence[PhaseFigures], groups: int, rows: int) -> list[Chart]:
    """Return the charts of phases, with tables of `rows` rows in all."""
    each = max(rows // max(len(phases), 1), 1)
    return [
        Chart(number, phase, groups, phase.points[-each:]) for number, phase in enumerate(phases, 1)
    ]
