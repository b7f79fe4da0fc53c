"""Which true rates of success fit what was seen in some runs; exact, no approximation."""

from __future__ import annotations

from bisect import bisect_left
from math import exp, fsum, lgamma, log, log1p

_TAIL = 0.025
"""The share of cases that is left out on each side: 95 % are within."""
_STEPS = range(1, 10_000_000)
"""How finely rates are told apart."""


def rates(passed: int, runs: int) -> tuple[float, float]:
    """Return the lowest and the highest rate that fit: the interval of Clopper and Pearson."""
    return _lowest(passed, runs), 1 - _lowest(runs - passed, runs)


def in_words(passed: int, runs: int) -> str:
    """Return the rates that fit, for people."""
    low, high = (round(100 * rate) for rate in rates(passed, runs))
    # No rounding says "never" or "always" of what was seen to be otherwise.
    low, high = max(low, 1 if passed else 0), min(high, 99 if passed < runs else 100)
    return f"true rates between {low} and {high} % fit that"


def _lowest(passed: int, runs: int) -> float:
    # By logarithms: of many runs, the number of ways is no float.
    ways = [lgamma(runs + 1) - lgamma(it + 1) - lgamma(runs - it + 1) for it in range(runs + 1)]

    def likely(step: int) -> float:
        """Return how likely so many passes, or more, are under a rate: it grows with the rate."""
        yes, no = log(step / _STEPS.stop), log1p(-step / _STEPS.stop)
        each = (exp(ways[it] + it * yes + (runs - it) * no) for it in range(passed, runs + 1))
        # The last digits differ from one platform to another.
        return round(fsum(each), 12)

    return _STEPS[bisect_left(_STEPS, _TAIL, key=likely)] / _STEPS.stop if passed else 0.0
