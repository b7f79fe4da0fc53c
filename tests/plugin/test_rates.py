"""Which true rates fit some runs: known values, and the definition itself."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hydrasmoke._plugin.repeats import in_words, rates

KNOWN = {
    (0, 1): (0, 0.975),
    (2, 3): (0.0942993, 0.9915962),
    (3, 3): (0.2924018, 1),
    (3, 5): (0.1466328, 0.9472550),
    (9, 10): (0.5549839, 0.9974714),
    (0, 200): (0, 0.0182753),
    (200, 200): (0.9817247, 1),
    (100, 200): (0.4286584, 0.5713416),
}
WORDS = {
    (2, 3): "9 and 99",
    (3, 5): "15 and 95",
    (0, 3): "0 and 71",
    (3, 3): "29 and 100",
    # What has failed once does not always pass, nor never what has passed.
    (29, 30): "83 and 99",
    (1, 30): "1 and 17",
    (1, 300): "1 and 2",
}


def test_known_intervals_and_their_words() -> None:
    for runs, interval in KNOWN.items():
        assert rates(*runs) == pytest.approx(interval, abs=2e-7)
    for runs, words in WORDS.items():
        assert in_words(*runs) == f"true rates between {words} % fit that"


def at_least(passed: int, runs: int, rate: float) -> float:
    ways = (comb(runs, it) * rate**it * (1 - rate) ** (runs - it) for it in range(passed, runs + 1))
    return sum(ways)


@given(data=st.data())
def test_below_and_above_what_was_seen_is_unlikely_and_within_it_is_not(
    data: st.DataObject,
) -> None:
    runs = data.draw(st.integers(1, 60))
    passed = data.draw(st.integers(0, runs))
    low, high = rates(passed, runs)
    near = 1e-5
    assert low < passed / runs + near
    assert high > passed / runs - near
    if passed > 0:
        assert (
            at_least(passed, runs, max(low - near, 0)) < 0.025 < at_least(passed, runs, low + near)
        )
    else:
        assert low == 0
    if passed < runs:
        below, above = (1 - at_least(passed + 1, runs, it) for it in (high - near, high + near))
        assert above < 0.025 < below
    else:
        assert high == 1
