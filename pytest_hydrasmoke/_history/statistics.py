"""The arithmetic of the history: quantiles, and what is slower than it was; pure.

A phase of a group is judged by its median over the group's instances, and compared with the
medians of up to 20 green groups before. The rule is robust on purpose: a median and a median
absolute deviation (MAD) are moved by no single odd group (Hampel's identifier; Leys et al., 2013).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

BASELINE = 20
"""Green groups that a baseline is made of at most, the newest ones."""
ENOUGH = 5
"""Green groups that a baseline is made of at least."""
DEVIATIONS = 3.0
SHARE = 0.2
SECONDS = 1.0
"""By how much a phase must be slower than its baseline, by each of the three measures."""


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest of sorted values that `share` of them do not exceed (nearest rank)."""
    return values[max(math.ceil(share * len(values)) - 1, 0)]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a phase usually takes."""

    median: float
    deviation: float
    """The median absolute deviation."""
    groups: int

    @property
    def limit(self) -> float:
        """What is above this is slower than usual."""
        beyond = max(DEVIATIONS * self.deviation, SHARE * self.median, SECONDS)
        return self.median + beyond


def baseline(values: Sequence[float]) -> Baseline | None:
    """Make a baseline of the medians of green groups, the newest last; None of too few."""
    used = values[-BASELINE:]
    if len(used) < ENOUGH:
        return None
    middle = median(used)
    return Baseline(middle, median(abs(value - middle) for value in used), len(used))


def slow_since(values: Sequence[float], limit: float) -> int:
    """Return from which of the values on all are above a limit; their number if the last is not."""
    start = len(values)
    while start and values[start - 1] > limit:
        start -= 1
    return start
