"""How things are timed: in rounds in which everybody has a turn, so that load strikes all alike.

Compared are ratios within a round, and their median is what counts. Milliseconds are shown for
scale only: they don't travel from one machine to another.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Work = Callable[[], object]
Timer = Callable[[], float]

SLOW = 4.0
"""Seconds that a turn may take, or there is no second one."""


@dataclass
class Turns:
    """What each subject took, in seconds, round by round."""

    taken: dict[str, dict[int, float]] = field(default_factory=dict)

    def seconds(self, name: str) -> float:
        """Return the median of a subject's turns."""
        return statistics.median(self.taken[name].values())

    def ratio(self, name: str, base: str) -> float:
        """Return the median of how many times as long as `base` a subject took in a round."""
        mine, theirs = self.taken[name], self.taken[base]
        return statistics.median(mine[turn] / theirs[turn] for turn in mine.keys() & theirs.keys())


def rounds(
    subjects: Mapping[str, Work],
    count: int,
    *,
    timer: Timer = time.process_time,
    patience: float = SLOW,
) -> Turns:
    """Time all subjects `count` times, a turn each in every round, in an order that rotates.

    The timer is the process's CPU time unless it is said otherwise: other work on the machine is
    not in it. Whoever takes longer than `patience` for one turn has no second one.
    """
    turns = Turns({name: {} for name in subjects})
    names = list(subjects)
    gc.freeze()  # What others hold is not gone through again and again.
    for number in range(count):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            if number and max(turns.taken[name].values()) > patience:
                continue
            gc.collect()
            start = timer()
            subjects[name]()
            turns.taken[name][number] = timer() - start
    gc.unfreeze()
    return turns
