"""P10: how often a regression is told that is none, and how soon one that is.

Simulated: times of a phase, spread as a normal distribution or a lognormal one (times have a long
tail) around 60 s, of 10, 20 or 40 green runs before the newest. A step is one that stays.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from bench_result import Bar, Result

from pytest_hydrasmoke._history.regression import judged

USUAL = 60.0
SPREADS = (0.05, 0.1, 0.2, 0.4)
"""Coefficients of variation."""
STEPS = ((2.0, 1), (2.0, 2), (1.5, 3))
"""How many times as slow a step is, and within how many runs the rule has to find it."""
DEMANDS = {(0.05, 2.0): 1, (0.1, 2.0): 1, (0.2, 2.0): 2, (0.05, 1.5): 3, (0.1, 1.5): 3}
"""Within how many runs a step has to be found, by spread and step."""
LEAST = {0.05: 99.0, 0.1: 95.0, 0.2: 85.0}
"""Percent of steps that have to be found then."""
Draw = Callable[[random.Random, float], float]


def _normal(chance: random.Random, spread: float) -> float:
    return max(chance.gauss(USUAL, USUAL * spread), 0.0)


def _lognormal(chance: random.Random, spread: float) -> float:
    sigma = math.sqrt(math.log(1 + spread**2))
    return chance.lognormvariate(math.log(USUAL) - sigma**2 / 2, sigma)


def _is_told(times: Sequence[float]) -> bool:
    return judged(times, [True] * len(times)).since is not None


def shares(draw: Draw, spread: float, before: int, tries: int) -> list[float]:
    """Return the percentage of false alarms, and of each step's that are found."""
    chance = random.Random(18)
    told = [0] * (1 + len(STEPS))
    for _ in range(tries):
        usual = [draw(chance, spread) for _ in range(before)]
        newest = [draw(chance, spread) for _ in range(3)]
        told[0] += _is_told([*usual, newest[0]])
        for number, (step, runs) in enumerate(STEPS, 1):
            slow = [step * it for it in newest]
            told[number] += any(_is_told([*usual, *slow[: it + 1]]) for it in range(runs))
    return [100 * it / tries for it in told]


def run(tries: int = 8_000) -> Result:
    found = [f"+{step - 1:.0%} within {runs}, %" for step, runs in STEPS]
    result = Result(["spread (CV)", "times", "runs before", "false alarms, %", *found])
    for spread in SPREADS:
        for name, draw in (("normal", _normal), ("lognormal", _lognormal)):
            for before in (10, 20, 40):
                alarms, *steps = shares(draw, spread, before, tries)
                told = (f"{it:.1f}" for it in steps)
                result.add(f"{spread:.0%}", name, str(before), f"{alarms:.2f}", *told)
                what = f"{name}, {spread:.0%}, {before} runs: "
                result.bars.append(Bar(f"{what}false alarms", alarms, 1.0, "%"))
                for (step, runs), share in zip(STEPS, steps, strict=True):
                    if DEMANDS.get((spread, step)) == runs:
                        missed = f"{what}+{step - 1:.0%} missed in {runs}"
                        result.bars.append(Bar(missed, 100 - share, 100 - LEAST[spread], "%"))
    return result
