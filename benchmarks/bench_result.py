"""What a row of the benchmark found: a table of words, and the bars that it must keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


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

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Result:
        return cls(**{**found, "bars": [Bar(**bar) for bar in found["bars"]]})


def short(number: object) -> str:
    """Write a number in three digits."""
    if not isinstance(number, float):
        return f"{number:,}" if isinstance(number, int) else str(number)
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    digits = f"{number:.3g}"
    return digits if "e" not in digits else f"{number:.4f}"
