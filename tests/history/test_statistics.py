"""The rule for what is slower than usual, on numbers alone."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hydrasmoke._history.statistics import BASELINE, ENOUGH, Judgement, judged

seconds = st.floats(0, 10_000, allow_nan=False)


def judge(values: Sequence[float], red: Sequence[int] = ()) -> Judgement:
    return judged(values, [number not in red for number in range(len(values))])


def test_the_newest_green_groups_are_the_baseline_if_there_are_enough() -> None:
    assert judge([40.0] * ENOUGH).limit is None
    assert judge([40.0] * ENOUGH + [90.0]).since == ENOUGH
    assert judge([40.0] * ENOUGH + [90.0], red=[3]) == Judgement((40.0,) * 9, None, None)
    assert judge([500.0] * 30 + [40.0] * BASELINE + [40.0]).usual == (40.0,) * BASELINE


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        # Each of the three measures is the largest once.
        ([2.0] * 10, 3.0),
        ([40.0] * 10, 48.0),
        ([36.0, 38.0, 40.0, 42.0, 44.0] * 2, 50.3),
        # What is odd once moves nothing.
        ([40.0] * 9 + [900.0], 48.0),
        # What takes no time has a logarithm.
        ([0.0] * 10, 1.0),
    ],
)
def test_a_phase_must_be_slower_by_all_three_measures(values: list[float], limit: float) -> None:
    assert judge([*values, 0.0]).limit == pytest.approx(limit, abs=0.05)


def test_what_is_slow_never_becomes_usual() -> None:
    assert judge([40.0] * 10 + [90.0] * 100) == Judgement((40.0,) * 10, 48.0, 10)
    # It ends where a group is nearer to the usual than to the limit, and may begin again.
    ends = {(45.0,): 10, (43.0,): None, (43.0, 47.0): None, (43.0, 90.0): 12}
    assert {its: judge([40.0] * 10 + [90.0, *its]).since for its in ends} == ends


@given(st.lists(seconds, min_size=ENOUGH + 1, max_size=40))
def test_what_is_usual_is_not_slow(values: list[float]) -> None:
    found = judge(values)
    assert len(found.usual) <= BASELINE
    assert set(found.usual) <= set(values)
    assert found.limit is not None
    # More than half of a baseline can never be above its limit.
    assert sum(it > found.limit for it in found.usual) <= len(found.usual) / 2
    if found.since is not None:
        assert min(values[found.since :]) > sorted(found.usual)[(len(found.usual) - 1) // 2]


def test_false_alarms_are_rare_and_steps_are_found() -> None:
    """At a spread of 5 %, in small; the benchmark simulates it in full."""
    chance = random.Random(18)
    alarms = found = 0
    for _ in range(200):
        usual = [chance.gauss(60.0, 3.0) for _ in range(BASELINE + 1)]
        alarms += judge(usual).since is not None
        found += judge([*usual[:-1], usual[-1] * 1.5]).since is not None
    assert alarms <= 2
    assert found >= 190
