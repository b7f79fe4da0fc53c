"""The rule that says which phase is slower than usual; pure.

A phase has regressed where it is above its median in the last 20 green runs by more than 7 times
their average distance from that median, or by more than 3 times in two runs in a row; by less than
20 % or a second it never has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

BASELINE = 20
"""Most green runs that a phase is compared with, the newest ones."""
ENOUGH = 10
"""Least green runs that a phase is compared with."""
ONCE, TWICE = 7, 3
"""Average distances from the median: too many in one run, and in two in a row."""
SHARE, SECONDS = 0.2, 1.0
"""What is less than this above the median is no regression."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The newest time of a phase, beside the usual ones; seconds."""

    usual: Sequence[float]
    """The times that it is compared with."""
    limit: float | None
    """What is too slow in one run; None where too few green runs are known."""
    since: int | None
    """The first of the runs in a row, up to the newest, in which the phase was too slow."""


def judged(times: Sequence[float], green: Iterable[bool]) -> Judgement:
    """Judge the last of a phase's times, one for each run, by those before it.

    What was judged too slow is no usual time of later runs, and what may be only where the next run
    shows that it was not.
    """
    usual: deque[float] = deque(maxlen=BASELINE)
    waiting: list[float] = []
    compared: tuple[float, ...] = ()
    limit = first = since = None
    for number, (seconds, good) in enumerate(zip(times, green, strict=True)):
        compared = tuple(usual)
        limit, twice = _limit(compared, ONCE), _limit(compared, TWICE)
        again = first is not None
        if twice is None or limit is None or seconds <= twice:
            first = None
        elif first is None:
            first = number
        since = first if again or (limit is not None and seconds > limit) else None
        joining = [*waiting, seconds] if good else waiting
        if first is None:
            usual.extend(joining)
        waiting = joining if first is not None and since is None else []
    return Judgement(compared, limit, since)


def _limit(usual: Sequence[float], distances: float) -> float | None:
    if len(usual) < ENOUGH:
        return None
    middle = median(usual)
    distance = fmean(abs(it - middle) for it in usual)
    return middle + max(distances * distance, middle * SHARE, SECONDS)
