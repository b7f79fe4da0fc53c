"""P10: how often a regression is told that is none, and how soon one is that is.

Simulated: medians of a phase's groups, spread as a normal distribution or a lognormal one (times
have a long tail) around 60 s, 20 green groups of them before the newest. A step is one that stays.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from bench_result import Bar, Result

from pytest_hydrasmoke._history.statistics import BASELINE, baseline, slow_since

USUAL = 60.0
STEP = 1.5
SPREADS = (0.05, 0.1, 0.2)
"""Coefficients of variation."""
Draw = Callable[[random.Random, float], float]


def _normal(chance: random.Random, spread: float) -> float:
    return max(chance.gauss(USUAL, USUAL * spread), 0.0)


def _lognormal(chance: random.Random, spread: float) -> float:
    sigma = math.sqrt(math.log(1 + spread**2))
    return chance.lognormvariate(math.log(USUAL) - sigma**2 / 2, sigma)


def _told(values: list[float], after: int) -> bool:
    """Judge the last of the values by those before it, as the history does."""
    usual = baseline(values[:-1])
    assert usual is not None
    return len(values) - slow_since(values, usual.limit) >= after


def shares(draw: Draw, spread: float, after: int, tries: int) -> tuple[float, float]:
    """Return the share of false alarms, and of steps that are told as soon as they can be."""
    chance = random.Random(18)
    alarms = found = 0
    for _ in range(tries):
        values = [draw(chance, spread) for _ in range(BASELINE + after)]
        alarms += _told(values, after)
        slower = [it * STEP for it in values[-after:]]
        found += _told([*values[:-after], *slower], after)
    return alarms / tries, found / tries


def run(tries: int = 20_000) -> Result:
    result = Result(["spread (CV)", "times", "--after", "false alarms", "steps of 50 % found"])
    for spread in SPREADS:
        for name, draw in (("normal", _normal), ("lognormal", _lognormal)):
            for after in (1, 2):
                alarms, found = shares(draw, spread, after, tries)
                result.add(f"{spread:.0%}", name, str(after), f"{alarms:.2%}", f"{found:.2%}")
                if spread == SPREADS[0] and after == 1:
                    result.bars += [
                        Bar(f"{name}, 5 %: false alarms", 100 * alarms, 1.0, "%"),
                        Bar(f"{name}, 5 %: steps that are missed", 100 * (1 - found), 5.0, "%"),
                    ]
    return result
