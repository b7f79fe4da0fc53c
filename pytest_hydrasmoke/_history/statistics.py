"""What is slower than usual; pure.

A phase of a group is judged by its median over the group's instances, beside the medians of up to
20 green groups before. Times vary by shares, so that their logarithms are compared.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

BASELINE = 20
"""Most green groups that a phase is compared with, the newest ones."""
ENOUGH = 10
"""Least green groups that it is compared with."""
DEVIATIONS = 3.1
SHARE = 0.2
SECONDS = 1.0
"""By how much a phase must be slower than usual, in each of three measures."""
ODD = 2.0
"""How many times as slow as usual an odd group is: it must not hide what comes after it."""
_LEAST = 0.001
"""Seconds: what is faster than this takes as long, for its logarithm."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The newest group's median of a phase, beside what is usual."""

    usual: Sequence[float]
    """The medians that it is compared with."""
    limit: float | None
    """What would be slower than usual; None where too few groups are known."""
    since: int | None
    """The first of the groups in a row, up to the newest, in which the phase was slow."""


def judged(values: Sequence[float], green: Iterable[bool]) -> Judgement:
    """Judge the last of a phase's medians, one for each group, by those before it.

    Once a phase is slow, it stays so until a group is nearer to what is usual than to the limit.
    What is slow never becomes usual.
    """
    usual: deque[float] = deque(maxlen=BASELINE)
    compared, limit, since = tuple(usual), None, None
    for number, (value, good) in enumerate(zip(values, green, strict=True)):
        compared = tuple(usual)
        limit = bound = _limit(compared)
        if limit is not None and since is not None:
            bound = (median(compared) + limit) / 2
        if bound is not None and value > bound:
            since = number if since is None else since
        else:
            since = None
            usual.extend([value] if good else [])
    return Judgement(compared, limit, since)


def _limit(usual: Sequence[float]) -> float | None:
    if len(usual) < ENOUGH:
        return None
    middle = median(usual)
    odd = ODD * middle
    logs = [math.log(max(it, _LEAST)) for it in usual if it <= odd]
    mean = fmean(logs)
    spread = math.dist(logs, [mean] * len(logs)) / math.sqrt(len(logs) - 1)
    return max(math.exp(mean + DEVIATIONS * spread), middle * (1 + SHARE), middle + SECONDS)
