"""The rule for what is slower than it was, on numbers alone."""

from __future__ import annotations

import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hydrasmoke._history.statistics import (
    BASELINE,
    ENOUGH,
    baseline,
    quantile,
    slow_since,
)

seconds = st.floats(0, 10_000, allow_nan=False)


def test_a_quantile_is_one_of_the_values() -> None:
    hundred = [float(it) for it in range(1, 101)]
    assert quantile(hundred, 0.95) == 95
    assert quantile([1.0, 2.0], 0.95) == 2
    assert quantile([1.0, 2.0], 0.5) == 1
    assert quantile([7.0], 0.0) == 7


@given(st.lists(seconds, min_size=1), st.floats(0, 1))
def test_a_quantile_leaves_its_share_below(values: list[float], share: float) -> None:
    values.sort()
    found = quantile(values, share)
    assert sum(it <= found for it in values) >= share * len(values)


def test_too_few_groups_are_no_baseline() -> None:
    assert baseline([40.0] * (ENOUGH - 1)) is None
    assert baseline([40.0] * ENOUGH) is not None


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        # Each of the three measures is the largest once.
        ([2.0] * 5, 3.0),
        ([40.0] * 5, 48.0),
        ([30.0, 35.0, 40.0, 45.0, 50.0], 55.0),
        # What is odd once moves nothing.
        ([40.0] * 5 + [900.0], 48.0),
    ],
)
def test_a_phase_must_be_slower_by_all_three_measures(values: list[float], limit: float) -> None:
    found = baseline(values)
    assert found is not None
    assert found.limit == pytest.approx(limit)


def test_the_newest_groups_are_the_baseline() -> None:
    found = baseline([500.0] * 30 + [40.0] * BASELINE)
    assert found is not None
    assert (found.median, found.groups) == (40.0, BASELINE)


@given(st.lists(seconds, min_size=ENOUGH, max_size=40))
def test_what_is_usual_is_not_slow(values: list[float]) -> None:
    found = baseline(values)
    assert found is not None
    assert found.limit >= found.median + 1.0
    assert found.limit >= found.median * 1.2
    assert found.median == median(values[-BASELINE:])
    # More than half of a baseline can never be above its limit.
    assert sum(it > found.limit for it in values[-BASELINE:]) <= found.groups / 2


@given(st.lists(seconds), seconds)
def test_slow_since_is_where_the_last_row_begins(values: list[float], limit: float) -> None:
    start = slow_since(values, limit)
    assert all(it > limit for it in values[start:])
    assert start == 0 or values[start - 1] <= limit


def test_false_alarms_are_rare_and_steps_are_found() -> None:
    """At a spread of 5 %, in small; the benchmark simulates it in full."""
    chance = random.Random(18)
    alarms = found = 0
    for _ in range(400):
        usual = baseline([chance.gauss(60.0, 3.0) for _ in range(BASELINE)])
        assert usual is not None
        now = chance.gauss(60.0, 3.0)
        alarms += now > usual.limit
        found += now * 1.5 > usual.limit
    assert alarms <= 4
    assert found >= 380
