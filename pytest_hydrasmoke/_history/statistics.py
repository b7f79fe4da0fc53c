"""The arithmetic of the history: quantiles, and what is slower than usual; pure.

A phase of a group is judged by its median over the group's instances, compared with the medians of
up to 20 green groups before. The rule is robust on purpose: no single odd group moves a median or a
median absolute deviation (MAD) (Hampel's identifier; Leys et al., 2013).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

BASELINE = 20
"""Most green groups of a baseline, the newest ones."""
ENOUGH = 5
"""Least green groups of a baseline."""
DEVIATIONS = 3.0
SHARE = 0.2
SECONDS = 1.0
"""By how much a phase must be slower than its baseline, in each of three measures."""


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest of sorted values that `share` of them do not exceed (nearest rank)."""
    return values[max(math.ceil(share * len(values)) - 1, 0)]


@dataclass(frozen=True, slots=True)
class Baseline:
    """The usual duration of a phase."""

    median: float
    deviation: float
    """The median absolute deviation."""
    groups: int

    @property
    def limit(self) -> float:
        """The value above which a phase is slower than usual."""
        beyond = max(DEVIATIONS * self.deviation, SHARE * self.median, SECONDS)
        return self.median + beyond


def baseline(values: Sequence[float]) -> Baseline | None:
    """Return the baseline of the medians of green groups, newest last; None of too few."""
    used = values[-BASELINE:]
    if len(used) < ENOUGH:
        return None
    middle = median(used)
    return Baseline(middle, median(abs(value - middle) for value in used), len(used))


def slow_since(values: Sequence[float], limit: float) -> int:
    """Return the index from which all values exceed a limit; their number if the last does not."""
    start = len(values)
    while start and values[start - 1] > limit:
        start -= 1
    return start
