"""Which runs are one pipeline run, which of them count, and what is slower than usual."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from history_tools import LEAKED, WEST, booted, live, report_of, runs_of
from hypothesis import given
from hypothesis import strategies as st

from pytest_hydrasmoke._history.groups import grouped, is_repeated
from pytest_hydrasmoke._history.regression import BASELINE, ENOUGH, Judgement, judged
from pytest_hydrasmoke._history.runs import Boot, PastRun, PastTest, Pipeline, worse

SHARD = {"group": "g", "commit": "c"}
AGAIN = SHARD | {"attempt": 2}
[RUN] = runs_of([report_of(0, outcomes={"a": "failed", "b": "passed"})])
"""A red run of a first attempt."""
EMPTY = replace(RUN, exit_code=0, boots=(), cases=(), pipeline=None)
PASSED = tuple(replace(case, outcome="passed") for case in RUN.cases)


def of(run: PastRun, **changes: Any) -> PastRun:
    """Return a run with changes in what its pipeline run is."""
    return replace(run, pipeline=replace(run.of, **changes))


def test_a_group_has_all_that_its_runs_know_and_is_red_as_soon_as_one_is() -> None:
    url = "https://ci.example/1"
    shards = [
        report_of(0, outcomes={"a": "passed"}, pipeline=SHARD | {"commit": None}),
        report_of(1, outcomes={"b": "failed"}, pipeline=SHARD | {"branch": "main", "url": url}),
        report_of(2, outcomes={"c": "passed"}, pipeline=SHARD),
    ]
    [group] = live(shards).groups
    assert (group.commit, group.branch, group.url) == ("c", "main", url)
    assert (group.outcome, group.runs, group.repeated) == ("failed", 3, 0)
    assert (group.tests_passed, group.tests_failed) == (2, 1)
    assert [(it.run_id, it.tests) for it in group.failed] == [("run-1", ("b",))]


def test_what_is_no_attempt_of_the_same_job_hides_nothing() -> None:
    later = of(replace(RUN, exit_code=0), attempt=2)
    assert is_repeated(RUN, later)
    for other in (
        RUN,
        of(later, attempt=1),
        of(later, attempt=None),
        of(later, job="another"),
        replace(later, cases=RUN.cases[1:]),
        replace(later, boots=tuple(replace(boot, spec=None) for boot in RUN.boots)),
    ):
        assert not is_repeated(RUN, other)
    # A test that was interrupted is one that the run has begun: nobody knows how it goes.
    cut = replace(RUN, cases=(*RUN.cases, PastTest("c", "interrupted")))
    for outcome, whole in (("passed", True), ("skipped", False), ("interrupted", False)):
        again = replace(later, cases=(*RUN.cases, PastTest("c", outcome)))
        assert is_repeated(cut, again) == whole
        # Of those that it had not begun, only the number is known.
        assert is_repeated(replace(RUN, not_run=1), again)
        assert not is_repeated(replace(RUN, not_run=2), again)
        # A run may have been cut in its first test.
        first = replace(RUN, cases=cut.cases[2:], not_run=2)
        assert is_repeated(first, again) == whole
    for one in (of(RUN, job=None), of(RUN, attempt=None), replace(RUN, cases=())):
        assert not is_repeated(one, of(later, job=one.of.job))


def test_of_attempts_the_last_counts_and_a_leak_of_an_earlier_one_all_the_same() -> None:
    attempts = [
        report_of(0, booted(500.0), outcomes={"a": "failed"}, pipeline=SHARD),
        report_of(1, booted(40.0), booted(20.0, 1), outcomes={"a": "passed"}, pipeline=AGAIN),
        report_of(2, booted(30.0, spec=WEST), pipeline=SHARD | {"job": "west"}),
    ]
    overview = live(attempts)
    told = [(it.outcome, it.runs, it.repeated) for it in overview.groups]
    assert told == [("passed", 2, 1)]
    points = [(it.spec.region_id, *it.points) for it in overview.phases]
    assert [(region, it.seconds) for region, it in points] == [
        ("eu-central", 30.0),
        ("us-west", 30.0),
    ]
    leaked = live([report_of(0, LEAKED, pipeline=SHARD), report_of(1, pipeline=AGAIN)])
    assert [it.outcome for it in leaked.groups] == ["leaked"]
    assert [it.key for it in leaked.leaks] == ["night-0"]


def test_groups_are_in_the_order_in_which_they_began() -> None:
    runs = [
        of(replace(RUN, run_id=f"r{at}", began=RUN.began + timedelta(hours=at)), group=f"g{at % 4}")
        for at in range(8)
    ]
    groups = grouped(runs[::-1])
    assert [it.name for it in groups] == ["g0", "g1", "g2", "g3"]
    assert [len(it.runs) for it in groups] == [2, 2, 2, 2]


def test_what_two_reports_say_of_one_run_is_what_is_red_in_either() -> None:
    one, other = (
        (replace(RUN.boots[0], idempotency_key=f"r-{it}", outcome="leaked"),) for it in "ab"
    )
    green = replace(RUN, exit_code=0, cases=PASSED)
    leaky, failed = replace(green, boots=one), replace(RUN, exit_code=1, boots=other)
    for first, second in itertools.permutations([green, replace(green, exit_code=1)]):
        assert worse(first, second).exit_code == 1
    for first, second in itertools.permutations([leaky, failed]):
        red = worse(first, second)
        assert (red.exit_code, {it.key for it in red.leaks}) == (1, {"r-a", "r-b"})
        assert worse(red, first) == red
    assert worse(green, green) == green


def test_a_run_is_red_for_anything_red_in_its_report() -> None:
    for calm in (EMPTY, replace(EMPTY, cases=(PastTest("a", "passed"),), ended="interrupt")):
        assert not calm.is_red
    reasons: dict[str, object] = {
        "exit_code": 1,
        "not_run": 1,
        "ended": "did not end",
        "boots": (Boot("night-0", None, None, "leaked", (), ()),),
        "cases": (PastTest("a", "failed"),),
    }
    assert [
        name for name, fact in reasons.items() if not replace(EMPTY, **{name: fact}).is_red
    ] == []


def test_runs_of_a_large_group_are_not_compared_each_with_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = [of(replace(RUN, run_id=f"r{at}"), job=f"j{at % 3}", attempt=at) for at in range(300)]
    compared: list[str] = []

    def counts(run: PastRun, other: PastRun) -> bool:
        compared.append(run.run_id)
        return is_repeated(run, other)

    monkeypatch.setattr("pytest_hydrasmoke._history.groups.is_repeated", counts)
    [group] = grouped(runs)
    assert [it.of.attempt for it in group.counted] == [297, 298, 299]
    assert len(compared) <= 3 * len(runs)


def test_a_run_of_a_later_attempt_repeats_one_run_and_no_other_cell_of_a_matrix() -> None:
    cells = [replace(RUN, run_id=f"r{at}", exit_code=1) for at in range(2)]
    green = [
        of(replace(RUN, run_id=f"s{at}", exit_code=0, cases=PASSED), attempt=2) for at in range(2)
    ]
    [group] = grouped([*cells, green[0]])
    assert (len(group.counted), group.outcome) == (3, "failed")
    [group] = grouped([*cells, *green])
    assert (group.counted, group.outcome) == (tuple(green), "passed")
    # The last attempt has fewer tests than the one that repeats the run.
    left = replace(RUN, cases=RUN.cases[:1], not_run=1)
    whole = replace(left, exit_code=0, cases=(*PASSED[:1], PastTest("b", "skipped")), not_run=0)
    less = replace(whole, cases=PASSED[:1])
    [group] = grouped([left, of(whole, attempt=2), of(less, attempt=3)])
    assert group.outcome == "passed"
    # Shards have other tests: each has its own repetition.
    shard = replace(cells[1], cases=(PastTest("only here", "failed"),))
    [group] = grouped([cells[0], shard, green[0]])
    assert group.counted == (shard, green[0])


cases = st.builds(PastTest, id=st.sampled_from("ab"), outcome=st.sampled_from(["passed", "failed"]))
runs = st.builds(
    lambda group, job, attempt, code, cases: replace(
        EMPTY,
        pipeline=Pipeline(group=f"g{group}", job=job, attempt=attempt),
        exit_code=code,
        cases=tuple(cases),
    ),
    st.integers(0, 2),
    st.sampled_from(["x", "y", None]),
    st.integers(1, 3) | st.none(),
    st.integers(0, 1),
    st.lists(cases, max_size=2),
)


@given(st.lists(runs, max_size=8))
def test_groups_are_green_only_where_every_run_that_counts_is(given: list[PastRun]) -> None:
    named = [replace(run, run_id=f"r{at}") for at, run in enumerate(given)]
    groups = grouped(named)
    assert sum(len(group.runs) for group in groups) == len(named)
    for group in groups:
        assert group.counted
        # Whoever is told again is so by one that counts itself, in the end.
        for run in group.runs:
            assert run in group.counted or any(is_repeated(run, it) for it in group.counted)
        red = any(run.is_red for run in group.counted)
        assert group.outcome == ("failed" if red else "passed")


# What is slower than usual: the rule on numbers alone

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
        ([36.0, 38.0, 40.0, 42.0, 44.0] * 2, 56.8),
        ([0.0] * 10, 1.0),
    ],
)
def test_a_phase_must_be_slower_by_all_three_measures(values: list[float], limit: float) -> None:
    for newest, since in ((limit, None), (limit + 0.01, 10)):
        found = judge([*values, newest])
        assert found.limit == pytest.approx(limit)
        assert found.since == since


def test_a_phase_that_is_slower_twice_in_a_row_has_regressed() -> None:
    calm = [36.0, 38.0, 40.0, 42.0, 44.0] * 2
    # Their average distance from the median is 2.4 s: the limit is 7 of them.
    for newest, since in (
        ((50.0,), None),
        ((49.0, 49.0), 10),
        ((50.0, 47.0), None),
        ((50.0, 47.0, 50.0), None),
        ((50.0, 47.0, 52.0, 52.0), 12),
        ((56.0, 49.0), 10),
        ((57.0,), 10),
    ):
        assert judge([*calm, *newest]).since == since


def test_what_is_slow_never_becomes_usual() -> None:
    assert judge([40.0] * 10 + [90.0] * 100) == Judgement((40.0,) * 10, 48.0, 10)
    # It ends with a run that is not slow, and may begin again.
    ends = {(50.0,): 10, (47.0,): None, (47.0, 90.0): 12}
    assert {its: judge([40.0] * 10 + [90.0, *its]).since for its in ends} == ends
    # A time that may be slow waits for the next one.
    calm = [36.0, 38.0, 40.0, 42.0, 44.0] * 2
    for newest, usual in (
        ((50.0,), []),
        ((50.0, 47.0), [50.0, 47.0]),
        ((50.0, 50.0, 47.0), [47.0]),
        ((90.0, 47.0), [47.0]),
    ):
        assert judge([*calm, *newest, 40.0]).usual == (*calm, *usual)


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
    """In small; the benchmark simulates it in full."""
    chance = random.Random(18)
    alarms = found = 0
    for _ in range(200):
        usual = [chance.gauss(60.0, 3.0) for _ in range(BASELINE + 1)]
        alarms += judge(usual).since is not None
        found += judge([*usual[:-1], usual[-1] * 1.5]).since is not None
    assert alarms <= 2
    assert found >= 190
