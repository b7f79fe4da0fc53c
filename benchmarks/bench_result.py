"""What a row of the benchmark found: a table of words, and the bars that it must keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Bar:
    """One promise: `value` is what was found, and is to be `limit` at most."""

    what: str
    value: float
    limit: float
    unit: str = "x"

    @property
    def kept(self) -> bool:
        return self.value <= self.limit


@dataclass
class Result:
    """A row's table, bars and remarks."""

    columns: Sequence[str]
    lines: list[list[str]] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, *cells: object) -> None:
        """Add a line to the table; numbers get three digits."""
        self.lines.append([cell if isinstance(cell, str) else short(cell) for cell in cells])

    def __str__(self) -> str:
        """Write the table, the bars and the remarks as Markdown, broken bars marked."""
        lines = [list(self.columns), ["---"] * len(self.columns), *self.lines]
        bars = [["bar", "found", "at most"], ["---"] * 3]
        for bar in self.bars:
            # One more digit for a broken one: it may be so by a hair.
            found = short(bar.value) if bar.kept else f"**{bar.value:.4g}**"
            bars.append([bar.what, f"{found} {bar.unit}", f"{short(bar.limit)} {bar.unit}"])
        parts = ["\n".join(f"| {' | '.join(line)} |" for line in it) for it in (lines, bars)]
        return "\n\n".join([*parts, *self.remarks])


def short(number: object) -> str:
    """Write a number in three digits."""
    if not isinstance(number, float):
        return f"{number:,}" if isinstance(number, int) else str(number)
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    digits = f"{number:.3g}"
    return digits if "e" not in digits else f"{number:.4f}"
