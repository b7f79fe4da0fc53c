"""P10: how often a regression is told that is none, and whether one that is stays told.

Simulated: medians of a phase's groups, spread as a normal distribution or a lognormal one (times
have a long tail) around 60 s, of 10 or 40 green groups before the newest. A step is one that stays.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from bench_result import Bar, Result

from pytest_hydrasmoke._history.statistics import judged

USUAL = 60.0
STEP = 1.5
SPREADS = (0.05, 0.1, 0.2)
"""Coefficients of variation."""
AFTER = 30
"""Groups after which a step that was told at once is looked at again."""
Draw = Callable[[random.Random, float], float]


def _normal(chance: random.Random, spread: float) -> float:
    return max(chance.gauss(USUAL, USUAL * spread), 0.0)


def _lognormal(chance: random.Random, spread: float) -> float:
    sigma = math.sqrt(math.log(1 + spread**2))
    return chance.lognormvariate(math.log(USUAL) - sigma**2 / 2, sigma)


def _told(values: list[float]) -> bool:
    return judged(values, [True] * len(values)).since is not None


def shares(draw: Draw, spread: float, before: int, tries: int) -> tuple[float, float, float]:
    """Return the share of false alarms, of steps told at once, and of these that stay told."""
    chance = random.Random(18)
    alarms = found = still = 0
    for _ in range(tries):
        usual = [draw(chance, spread) for _ in range(before)]
        slow = [draw(chance, spread) * STEP for _ in range(AFTER)]
        alarms += _told([*usual, slow[0] / STEP])
        if _told([*usual, slow[0]]):
            found += 1
            still += _told([*usual, *slow])
    return alarms / tries, found / tries, still / max(found, 1)


def run(tries: int = 4_000) -> Result:
    result = Result(
        ["spread (CV)", "times", "groups before", "false alarms", "steps of 50 % found", "stay"]
    )
    for spread in SPREADS:
        for name, draw in (("normal", _normal), ("lognormal", _lognormal)):
            for before in (10, 40):
                alarms, found, still = shares(draw, spread, before, tries)
                told = (f"{it:.2%}" for it in (alarms, found, still))
                result.add(f"{spread:.0%}", name, str(before), *told)
                what = f"{name}, {spread:.0%}, {before} groups: "
                result.bars.append(Bar(f"{what}false alarms", 100 * alarms, 1.0, "%"))
                if spread == SPREADS[0]:
                    result.bars += [
                        Bar(f"{what}steps that are missed", 100 * (1 - found), 5.0, "%"),
                        Bar(f"{what}steps that end by themselves", 100 * (1 - still), 0.0, "%"),
                    ]
    return result
