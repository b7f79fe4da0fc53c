"""The figures over many runs, and which of them are red."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from history_tools import (
    FAILED,
    LEAKED,
    LOST,
    NOON,
    TEST,
    WEST,
    booted,
    broken,
    history_of,
    live,
    red,
    report_of,
)
from hypothesis import given
from hypothesis import strategies as st
from report_tools import SPEC, an_instance

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report.model import InstanceReport
from pytest_hydrasmoke._report.parts import SpanReport, TokensReport

PLACE = "ready of eu-central tier-1 hermes-basic"


def ready_after(*seconds: float, reds: int = 0) -> list[Report]:
    """Make a group for each boot; the first few of them red."""
    boots = enumerate(seconds)
    return [report_of(at, booted(ready), exit_code=int(at < reds)) for at, ready in boots]


@pytest.mark.parametrize(
    ("reports", "change"),
    [
        (ready_after(*[40.0] * 10, 90.0, 92.0), (40.0, 92.0, 10, 48.0, 10)),
        (ready_after(40.0, 40.0, 400.0), (40.0, 400.0, 2, None, None)),
        (ready_after(*[500.0] * 6, 40.0, 90.0, reds=6), (40.0, 90.0, 1, None, None)),
        # Where none was green, the one before is better than nothing.
        (ready_after(30.0, 40.0, 90.0, reds=2), (40.0, 90.0, 1, None, None)),
        ([report_of(0, booted(40.0)), report_of(1, LOST)], None),
        ([report_of(0, booted(40.0)), report_of(1, booted(7.0, interrupted="ready"))], None),
    ],
    ids=["slower", "no baseline", "after red ones", "red ones alone", "failed", "interrupted"],
)
def test_the_newest_time_of_a_phase_is_beside_the_green_ones_before(
    reports: list[Report], change: tuple[object, ...] | None
) -> None:
    [phase] = live(reports).phases
    found = phase.change
    told = found and (found.usual, found.now, found.groups, found.limit, found.since)
    assert told == (change and pytest.approx(change))
    assert len(red(reports, "regression")) == bool(change and change[-1])
    assert red(reports) == []


@pytest.mark.parametrize(
    ("named", "words"),
    [
        (["gpt-5"] * 10 + ["gpt-5-mini"], ", its model changed from gpt-5 to gpt-5-mini"),
        (["gpt-5"] * 9 + ["", "gpt-4"], ", its model changed from gpt-5 to gpt-4"),
        (["gpt-5"] * 11, ""),
        ([""] * 10 + ["gpt-4"], ""),
        (["gpt-5"] * 10 + [""], ""),
    ],
    ids=["another", "after one unnamed", "the same", "not named before", "not named now"],
)
def test_a_regression_says_from_to_and_since_when_and_whether_models_changed(
    named: list[str], words: str
) -> None:
    def made(commit: dict[str, None]) -> list[Report]:
        times = [
            (at, 40.0 if at < 10 else 90.0, (it,) if it else ()) for at, it in enumerate(named)
        ]
        return [report_of(at, booted(s, models=its), pipeline=commit) for at, s, its in times]

    usual = f"usually 40.0 s, +125%{words}"
    told = f"regression: {PLACE} took 1 min 30 s ({usual}), since g10"
    assert red(made({}), "regression") == [f"{told}, commit c10"]
    assert red(made({"commit": None}), "regression") == [told]


def test_each_router_has_figures_of_its_own() -> None:
    slow = "https://staging.example"
    reports = ready_after(*[40.0] * 12)
    # With a slash at its end it is the same one.
    reports += [report_of(it, booted(90.0), url=slow + "/" * (it % 2)) for it in range(12, 18)]
    assert red(reports, "regression") == []
    overview = live(reports)
    assert [(str(it.spec), len(it.points)) for it in overview.phases] == [
        ("eu-central tier-1 hermes-basic https://router.example/api", 12),
        (f"eu-central tier-1 hermes-basic {slow}", 6),
    ]


def test_live_runs_and_those_of_the_fake_are_never_in_one_figure() -> None:
    # The fake's port is another one each time.
    fakes = [report_of(it, fake=True, url=f"http://127.0.0.1:{40_000 + it}") for it in (1, 2)]
    reports = [report_of(0), *fakes]
    alone, both = history_of(reports), history_of(reports, fake=True)
    assert (alone.fake, alone.live) == (None, both.live)
    assert alone.skipped == ("runs of the fake router: 2; --include-fake shows them",)
    assert both.live is not None
    assert both.fake is not None
    assert [len(it.groups) for it in (both.live, both.fake)] == [1, 2]
    assert [(it.spec.router, len(it.points)) for it in both.fake.phases] == [(None, 2)]
    assert history_of(fakes).live is None


INTERRUPTED = booted(7.0, 3, interrupted="row")
Told = tuple[str | None, str, InstanceReport]
GOOD = booted(40.0)


@pytest.mark.parametrize(
    ("runs", "flaky_on", "words"),
    [
        ([("c", "passed", GOOD), ("c", "failed", broken())], ["c"], ": AssertionError: no"),
        ([("c", "passed", broken(cured=True))], ["c"], ""),
        # Only the newest commit is judged.
        ([("b", "failed", GOOD), ("b", "passed", GOOD), ("c", "passed", GOOD)], ["b"], None),
        (
            [(it, outcome, GOOD) for it in "bc" for outcome in ("passed", "failed")],
            ["b", "c"],
            "",
        ),
        ([("b", "passed", GOOD), ("c", "failed", GOOD)], [], None),
        ([("c", "passed", GOOD), ("c", "failed", booted(40.0, spec=WEST))], [], None),
        # Where a test used no instance, all of its run's count.
        (
            [("c", "passed", booted(40.0, 1)), ("c", "failed", booted(40.0, 1, spec=WEST))],
            [],
            None,
        ),
        ([(None, "passed", GOOD), (None, "failed", GOOD)], [], None),
    ],
    ids=[
        *("on its commit", "cured by a rerun", "on an older commit", "on both"),
        *("on another one", "in another region", "elsewhere without an instance", "on none"),
    ],
)
def test_a_flaky_test_has_passed_and_failed_on_one_commit(
    runs: list[Told], flaky_on: list[str], words: str | None
) -> None:
    reports = [
        report_of(at, instance, outcomes={TEST: outcome}, pipeline={"commit": commit})
        for at, (commit, outcome, instance) in enumerate(runs)
    ]
    [test] = live(reports).tests
    assert [*test.flaky_on] == flaky_on
    assert test.passed + test.failed == len(runs)
    told = [] if words is None else [f"flaky: {TEST} passed and failed on c{words}"]
    assert red(reports, "flaky") == told


def test_tests_are_added_up_those_first_that_fail() -> None:
    several = {TEST: "passed", "other": "passed", "calm": "xfailed", "left": "skipped"}
    reports = [
        report_of(0, outcomes=several, pipeline={"commit": "c"}),
        report_of(1, broken("no\nmore"), outcomes=several | FAILED, pipeline={"commit": "c"}),
        report_of(2, outcomes=several | {"other": "error"}),
    ]
    first, second, third = live(reports).tests
    assert (first.test, first.failed, first.flaky_on, first.words) == ("other", 1, (), None)
    assert (second.test, second.passed, second.failed, second.words) == (TEST, 2, 1, "no")
    assert second.flaky_on == ("c",)
    assert (third.test, third.passed, third.failed) == ("calm", 3, 0)


def test_tokens_by_group() -> None:
    took = TokensReport(input_tokens=100, output_tokens=20)
    reports = [
        report_of(0, booted(40.0, tokens=took), booted(60.0, 1, tokens=took), LOST, INTERRUPTED),
        report_of(1, LOST.model_copy(update={"spec": WEST, "tokens": took})),
        report_of(2, an_instance(phases={}, spans=())),
    ]
    assert [it.tokens for it in live(reports).groups] == [240, 120, 0]


def test_the_last_groups_and_none_after_one_that_is_named() -> None:
    reports = [report_of(number) for number in range(6)]
    assert [it.name for it in live(reports, last=2).groups] == ["g4", "g5"]
    assert [it.name for it in live(reports, last=2, group="g3").groups] == ["g2", "g3"]
    assert len(live(reports, group="another").groups) == 6


def test_failures_and_leaks_of_the_newest_group() -> None:
    many = dict.fromkeys((TEST, *(f"t{number}" for number in range(21))), "failed")
    newest = [broken("at first"), booted(40.0, outcome="leaked"), broken("no more\nat all")]
    reports = [
        report_of(0, LEAKED, outcomes=FAILED),
        report_of(1, broken("no"), outcomes=FAILED),
        report_of(2, *newest, outcomes=many),
    ]
    leak, failed = red(reports, "failure", "leak")
    assert leak == "leak: night-0 may still run; hydra-smoke sweep --run-id night"
    assert failed.startswith(f"failure: run run-2 (exit code 1): {TEST}: no more; t0; t1; ")
    assert failed.endswith("t18; and 2 more")
    unnamed = booted(40.0, outcome="leaked", id=None, idempotency_key=None, run_id=None)
    strange = report_of(3, unnamed, run_id="x; rm -rf ~", exit_code=2)
    sweep = "the fake router ended with its run: nothing to sweep"
    words = f"leak: night-0 was not seen deleted; {sweep}"
    assert red([report_of(0, LEAKED, fake=True)], "leak", fake=True) == [words]
    assert red([strange], "failure", "leak") == [
        "leak: an instance may still run; look for it at the provider",
        "failure: run x; rm -rf ~ (exit code 2): no test of it failed",
    ]


def test_a_group_of_the_future_is_named_and_never_the_newest() -> None:
    day, far = timedelta(days=1), {"group": "far"}
    wrong = [report_of(it, began=NOON + 9 * day, pipeline=far, fake=it == 3) for it in (2, 3)]
    apart = [
        report_of(4, began=NOON + timedelta(minutes=5), exit_code=1),
        # A group began when its first run did: a red run is not hidden by its own clock.
        report_of(5, began=NOON + 9 * day, exit_code=1, pipeline={"group": "g4"}),
    ]
    reports = [report_of(0), *wrong, *apart]
    told = "group far: it begins in the future, 2026-01-11 12:00 UTC: passed"
    alone, both = history_of(reports, now=NOON), history_of(reports, fake=True, now=NOON)
    of_the_fake = "runs of the fake router: 1; --include-fake shows them"
    assert alone.skipped == (told, of_the_fake)
    assert [(it.name, it.runs) for it in live(reports, now=NOON).groups] == [("g0", 1), ("g4", 2)]
    assert (both.fake, both.skipped) == (None, (told, told))
    # What a pipeline asks for is missing then, and red.
    words = "missing: group far has 0 reports, and must have 1; the newest groups are g4, g0"
    assert red(reports, "failure", group="far", now=NOON) == [words]


def test_a_group_must_have_the_runs_that_are_expected() -> None:
    shard = {"group": "g", "commit": "c"}
    reports = [
        report_of(0, outcomes=FAILED, pipeline={"group": "last week"}),
        report_of(1, outcomes={"a": "passed"}, pipeline=shard),
        report_of(2, outcomes={"b": "failed"}, pipeline=shard),
    ]
    failed = "failure: run run-2 of g (exit code 1): b"
    # Nothing is said of other groups.
    known = "; the newest groups are g, last week"
    for group, expect, words in (
        ("g", 2, [failed]),
        ("g", 3, ["missing: group g has 2 reports, and must have 3", failed]),
        ("none", 3, [f"missing: group none has 0 reports, and must have 3{known}"]),
        ("none", None, [f"missing: group none has 0 reports, and must have 1{known}"]),
        (None, 3, ["missing: the newest group has 2 reports, and must have 3", failed]),
        ("last week", 2, ["missing: group last week has 1 report, and must have 2"]),
    ):
        told = red(reports, "failure", group=group, expect=expect)
        assert told[: len(words)] == words
    fakes = [*reports, report_of(3, fake=True)]
    assert red(fakes, "failure", group="g3", fake=True) == []
    # A run of the fake stands in for none of another group's.
    missing = "missing: the newest group has 2 reports, and must have 3"
    assert red(fakes, expect=3, fake=True) == [missing]
    both = [*fakes, report_of(4, pipeline={"group": "g3"})]
    assert red(both, expect=2, fake=True) == []


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_any_set_of_reports_makes_a_history_in_whatever_order(seed: int, many: int) -> None:
    chance = random.Random(seed)
    reports = [a_random_report(chance, number) for number in range(many)]
    made = history_of(reports, fake=True, last=chance.randint(1, 9))
    shuffled = chance.sample(reports, many)
    assert history_of(shuffled, fake=True) == history_of(reports, fake=True)
    for overview in made.overviews.values():
        for phase in overview.phases:
            assert all(0 <= point.seconds <= 100 for point in phase.points)
        assert len(overview.leaks) == sum(it.leaks for it in overview.groups)


def a_random_report(chance: random.Random, number: int) -> Report:
    def spans() -> tuple[SpanReport, ...]:
        phases = chance.choices(["ready", "turn"], k=chance.randrange(4))
        return tuple(SpanReport(at=0.0, phase=it, seconds=chance.random() * 100) for it in phases)

    instances = [
        booted(
            0.0,
            slot,
            spec=chance.choice([SPEC, WEST, None]),
            outcome=chance.choice(["deleted", "leaked", "kept", "attached", "absent"]),
            phases=chance.choice([{}, {"ready": chance.random() * 100}]),
            spans=spans(),
        )
        for slot in range(chance.randint(1, 3))
    ]
    words = ["passed", "failed", "error", "skipped", "xfailed", "interrupted"]
    return report_of(
        number,
        *instances,
        outcomes={it: chance.choice(words) for it in chance.sample("abc", chance.randint(1, 3))},
        fake=chance.random() < 0.3,
        exit_code=chance.choice([0, 0, 1, 2]),
        pipeline={
            "group": f"g{chance.randrange(6)}",
            "attempt": chance.choice([None, 1, 2]),
            "commit": chance.choice([None, "c"]),
        },
    )
