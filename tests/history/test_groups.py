"""Which runs are one pipeline run, and which of them count."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from history_tools import booted, live, report_of, runs_of
from hypothesis import given
from hypothesis import strategies as st
from report_tools import SPEC, an_instance

from pytest_hydrasmoke._history.groups import grouped, is_repeated
from pytest_hydrasmoke._history.runs import Boot, PastTest, Pipeline, Run, Spec, worse

SHARD = {"group": "g", "commit": "c"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A red run of a first attempt."""
    [run] = runs_of(tmp_path, [report_of(0, outcomes={"a": "failed", "b": "passed"})])
    return run


def test_shards_are_one_group_which_is_red_as_soon_as_one_is(tmp_path: Path) -> None:
    shards = [
        report_of(0, outcomes={"a": "passed"}, pipeline=SHARD),
        report_of(1, outcomes={"b": "failed"}, pipeline=SHARD),
        report_of(2, outcomes={"c": "passed"}, pipeline=SHARD),
    ]
    [group] = live(runs_of(tmp_path, shards)).groups
    assert (group.outcome, group.runs, group.told_again) == ("failed", 3, 0)
    assert (group.tests_passed, group.tests_failed) == (2, 1)
    assert [(it.run_id, it.tests) for it in group.failed] == [("run-1", ("b",))]


def test_a_later_attempt_counts(run: Run) -> None:
    passed = tuple(replace(case, outcome="passed") for case in run.cases)
    later = of(run, attempt=2)
    again = replace(
        later, run_id="again", exit_code=0, began=run.began + timedelta(1), cases=passed
    )
    [group] = grouped([again, run])
    assert group.counted == (again,)
    assert group.outcome == "passed"
    assert group.runs == (run, again)


def other_specs(run: Run) -> tuple[Boot, ...]:
    spec = Spec(region="us-west", tier="t", manifest="m")
    return tuple(replace(boot, spec=spec) for boot in run.boots)


def of(run: Run, **changes: Any) -> Run:
    """Return a run with changes in what its pipeline run is."""
    return replace(run, pipeline=replace(run.of, **changes))


def test_what_is_no_attempt_of_the_same_job_hides_nothing(run: Run) -> None:
    later = of(replace(run, exit_code=0), attempt=2)
    assert is_repeated(run, later)
    fewer = tuple(case for case in run.cases if case.id == "b")
    for other in (
        run,
        of(later, attempt=1),
        of(later, attempt=None),
        of(later, job="another"),
        replace(later, cases=fewer),
        replace(later, boots=other_specs(run)),
    ):
        assert not is_repeated(run, other)
    for one in (of(run, job=None), of(run, attempt=None), replace(run, cases=())):
        assert not is_repeated(one, of(later, job=one.of.job))


def test_a_leak_of_an_earlier_attempt_is_one_all_the_same(tmp_path: Path) -> None:
    leaked = booted(40.0, outcome="leaked", leak="not confirmed")
    attempts = [
        report_of(0, leaked, pipeline=SHARD, exit_code=1),
        report_of(1, pipeline=SHARD | {"attempt": 2}),
    ]
    overview = live(runs_of(tmp_path, attempts))
    assert [it.outcome for it in overview.groups] == ["leaked"]
    assert [it.key for it in overview.leaks] == ["night-0"]


def test_times_are_those_of_runs_that_count(tmp_path: Path) -> None:
    west = SPEC.model_copy(update={"region_id": "us-west"})
    attempts = [
        report_of(0, booted(500.0), pipeline=SHARD),
        report_of(1, booted(40.0), booted(20.0, 1), pipeline=SHARD | {"attempt": 2}),
        report_of(2, booted(30.0, spec=west), pipeline=SHARD | {"job": "west"}),
    ]
    ready = [it for it in live(runs_of(tmp_path, attempts)).phases if it.phase == "ready"]
    told = [(it.spec.region, it.points[0].count, it.points[0].slowest) for it in ready]
    assert told == [("eu-central", 2, 40.0), ("us-west", 1, 30.0)]


def test_what_is_known_of_the_pipeline_is_that_of_the_first_run_that_knows(tmp_path: Path) -> None:
    url = "https://ci.example/1"
    runs = [
        report_of(0, pipeline={"group": "g", "commit": None}),
        report_of(1, pipeline=SHARD | {"branch": "main", "url": url}),
    ]
    [group] = live(runs_of(tmp_path, runs)).groups
    assert (group.commit, group.branch, group.url) == ("c", "main", url)


def test_groups_are_in_the_order_in_which_they_began(run: Run) -> None:
    runs = [
        of(
            replace(run, run_id=f"r{at}", began=run.began + timedelta(hours=at)),
            group=f"g{at % 4}",
        )
        for at in range(8)
    ]
    groups = grouped(runs[::-1])
    assert [it.name for it in groups] == ["g0", "g1", "g2", "g3"]
    assert [len(it.runs) for it in groups] == [2, 2, 2, 2]
    # A clock that was never set does not make one the oldest.
    unset = of(replace(run, began=datetime(1970, 1, 3, tzinfo=UTC)), group="g3")
    assert [it.name for it in grouped([*runs, unset])] == ["g0", "g1", "g2", "g3"]
    [alone] = grouped([unset])
    assert alone.began == unset.began


def test_what_two_reports_say_of_one_run_is_what_is_red_in_either(run: Run) -> None:
    one, other = (replace(run.boots[0], idempotency_key=f"r-{it}") for it in "ab")
    leaked = [replace(it, outcome="leaked") for it in (one, other)]
    passed = tuple(replace(case, outcome="passed") for case in run.cases)
    green = replace(run, exit_code=0, cases=passed)
    for one, other in itertools.permutations([green, replace(green, exit_code=1)]):
        assert worse(one, other).exit_code == 1
    for one, other in itertools.permutations(
        [replace(green, boots=(leaked[0],)), replace(run, exit_code=1, boots=(*leaked[1:],))]
    ):
        red = worse(one, other)
        assert (red.exit_code, {it.key for it in red.leaks}) == (1, {"r-a", "r-b"})
        assert worse(red, one) == red
    assert worse(green, green) == green


@pytest.mark.parametrize(
    "changes",
    [
        {"exit_code": 1},
        {"not_run": 1},
        {"ended": "did not end"},
        {"boots": (Boot("night-0", None, None, "leaked", (), ()),)},
        {"cases": (PastTest("a", "failed"),)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_run_is_red_for_anything_red_in_its_report(changes: dict[str, Any]) -> None:
    run = _run_without_anything()
    assert not run.is_red
    assert not replace(run, cases=(PastTest("a", "passed"),)).is_red
    assert replace(run, **changes).is_red


def test_runs_of_a_large_group_are_not_compared_each_with_each(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [of(replace(run, run_id=f"r{at}"), job=f"j{at % 3}", attempt=at) for at in range(300)]
    compared: list[str] = []

    def counts(run: Run, other: Run) -> bool:
        compared.append(run.run_id)
        return is_repeated(run, other)

    monkeypatch.setattr("pytest_hydrasmoke._history.groups.is_repeated", counts)
    [group] = grouped(runs)
    assert [it.of.attempt for it in group.counted] == [297, 298, 299]
    assert len(compared) <= 3 * len(runs)


def test_a_run_of_a_later_attempt_repeats_one_run_and_no_other_cell_of_a_matrix(run: Run) -> None:
    cells = [replace(run, run_id=f"r{at}", exit_code=1) for at in range(2)]
    green = [of(replace(run, run_id=f"s{at}", exit_code=0), attempt=2) for at in range(2)]
    [group] = grouped([*cells, green[0]])
    assert (len(group.counted), group.outcome) == (3, "failed")
    [group] = grouped([*cells, *green])
    assert group.counted == tuple(green)
    # Shards have other tests: each has its own repetition.
    shard = replace(cells[1], cases=(PastTest("only here", "failed"),))
    [group] = grouped([cells[0], shard, green[0]])
    assert group.counted == (shard, green[0])


cases = st.builds(
    PastTest,
    id=st.sampled_from("ab"),
    outcome=st.sampled_from(["passed", "failed"]),
)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(["x", "y", None]),
            st.integers(1, 3) | st.none(),
            st.integers(0, 1),
            st.lists(cases, max_size=2),
        ),
        max_size=8,
    )
)
def test_groups_are_green_only_where_every_run_that_counts_is(
    given: list[tuple[int, str | None, int | None, int, list[PastTest]]],
) -> None:
    base = _run_without_anything()
    runs = [
        replace(
            base,
            run_id=f"r{at}",
            pipeline=Pipeline(group=f"g{group}", job=job, attempt=attempt),
            exit_code=code,
            cases=tuple(its),
        )
        for at, (group, job, attempt, code, its) in enumerate(given)
    ]
    groups = grouped(runs)
    assert sum(len(group.runs) for group in groups) == len(runs)
    for group in groups:
        # Whoever is told again is so by one that counts itself, in the end.
        assert group.counted
        for run in set(range(len(group.runs))):
            it = group.runs[run]
            if it not in group.counted:
                assert any(is_repeated(it, other) for other in group.counted)
        once = [run for run in group.runs if not any(is_repeated(run, it) for it in group.runs)]
        assert set(map(id, once)) <= set(map(id, group.counted))
        red = any(run.is_red for run in group.counted)
        assert group.outcome == ("failed" if red else "passed")


def _run_without_anything() -> Run:
    began = an_instance().began
    assert began is not None
    return Run(
        schema_version=2,
        run_id="r",
        fake=False,
        url="https://router.example",
        began=began,
        exit_code=0,
        boots=(),
    )
