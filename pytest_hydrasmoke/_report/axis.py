"""The position of a time on a page, and its notation; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_STEPS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400),
)
_MOST_TICKS = 6
WIDTH = 1000
"""Width of a drawing that is stretched to the available space; marks are at least 1 apart."""


def duration(seconds: float) -> str:
    """Format a duration as people write it: `350 ms`, `2.35 s`, `12 min 05 s`, `1 h 02 min`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def stopwatch(seconds: float) -> str:
    """Format a point in time as a stopwatch does: `1:05.2`, `1:00:05.2`."""
    minutes, rest = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    words = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{words}" if hours else f"{minutes}:{words}"


def _short(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:g} ms"
    if seconds < 60:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"


@dataclass(frozen=True, slots=True)
class Axis:
    """The time from 0 to `seconds`, over the whole width."""

    seconds: float

    def x(self, at: float) -> str:
        """Return a point's position, or a length, in percent, for SVG.

        What is too short to be seen is shown by its stroke.
        """
        return f"{self._share(at) * 100:.2f}%"

    @property
    def ticks(self) -> list[tuple[str, str]]:
        """Return the round points of time, each with its position and label."""
        step = next((step for step in _STEPS if self.seconds / step <= _MOST_TICKS), _STEPS[-1])
        # The longest step is too short for many days.
        step *= max(1, round(self.seconds / step / _MOST_TICKS))
        count = int(self.seconds / step)
        points = [number * step for number in range(count + 1)]
        return [(self.x(at), _short(at) if at else "0") for at in points]

    def marks(self, points: Iterable[float]) -> str:
        """Return the path of a mark at each point, in a drawing `WIDTH` wide and 10 high."""
        places = sorted({round(self._share(at) * WIDTH) for at in points})
        return "".join(f"M{x} 0v10" for x in places)

    def _share(self, at: float) -> float:
        return min(max(at / self.seconds, 0.0), 1.0) if self.seconds > 0 else 0.0
