"""The figures over many runs."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path

import pytest
from history_tools import NOON, TEST, booted, failure, history_of, live, report_of, runs_of
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from report_tools import SPEC, an_instance

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._history.findings import Demand, problems
from pytest_hydrasmoke._history.model import PhaseFigures
from pytest_hydrasmoke._report import files
from pytest_hydrasmoke._report.model import PipelineReport, TokensReport
from pytest_hydrasmoke._report.parts import SpanReport

SCHEMA = Path(__file__).parent.parent.parent / "docs" / "reference" / "history-schema.json"
REGRESSION = Demand(frozenset({"regression"}))
TWICE = ((0, {TEST: "passed"}), (1, {TEST: "failed"}))


def ready_after(*seconds: float, red: tuple[int, ...] = ()) -> list[Report]:
    """Make a group for each boot; some of them red."""
    return [
        report_of(number, booted(it), exit_code=int(number in red))
        for number, it in enumerate(seconds)
    ]


def without_commit(report: Report) -> PipelineReport:
    assert report.pipeline is not None
    return report.pipeline.model_copy(update={"commit": None})


def ready(folder: Path, reports: list[Report]) -> PhaseFigures:
    [found] = [it for it in live(runs_of(folder, reports)).phases if it.phase == "ready"]
    return found


def test_a_phase_by_group(tmp_path: Path) -> None:
    boots = [booted(float(it), it) for it in range(1, 101)]
    reports = [report_of(0, *boots, budgets={"ready": 90.0}), report_of(1, booted(7.0))]
    phase = ready(tmp_path, reports)
    assert phase.budget == 90.0
    first, second = phase.points
    assert (first.count, first.median, first.slowest) == (100, 50.5, 100.0)
    assert (second.group, second.count, second.median) == (1, 1, 7.0)


@pytest.mark.parametrize(
    ("named", "words"),
    [
        (["gpt-5"] * 10 + ["gpt-5-mini"], " (its model changed since: gpt-5 to gpt-5-mini)"),
        (["gpt-5"] * 9 + ["", "gpt-4"], " (its model changed since: gpt-5 to gpt-4)"),
        (["gpt-5"] * 11, ""),
        ([""] * 10 + ["gpt-4"], ""),
        (["gpt-5"] * 10 + [""], ""),
    ],
)
def test_a_regression_names_the_models_where_they_changed(
    tmp_path: Path, named: list[str], words: str
) -> None:
    reports = [
        report_of(at, booted(40.0 if at < 10 else 90.0, models=(it,) if it else ()))
        for at, it in enumerate(named)
    ]
    made = history_of(runs_of(tmp_path, reports))
    assert f"40.0 s to 1 min 30 s{words}, since" in problems(made, REGRESSION)[0]
    assert made.live is not None
    assert made.live.cells[0].models == next(filter(None, reversed(named)))


def test_a_regression_says_from_to_and_since_when(tmp_path: Path) -> None:
    reports = ready_after(*[40.0] * 10, 90.0, 92.0)
    made = history_of(runs_of(tmp_path, reports))
    what, _, since = problems(made, REGRESSION)[0].partition(", ")
    assert what == (
        "regression: ready of eu-central tier-1 hermes-basic: from 40.0 s to 1 min 32 s"
    )
    assert since == "since commit c10 (run g10)"
    nowhere = [it.model_copy(update={"pipeline": without_commit(it)}) for it in reports]
    [words] = problems(history_of(runs_of(tmp_path / "local", nowhere)), REGRESSION)
    assert words.endswith(" to 1 min 32 s, since run g10")
    assert problems(made, Demand()) == []


def test_each_router_has_figures_of_its_own(tmp_path: Path) -> None:
    slow = "https://staging.example"
    reports = ready_after(*[40.0] * 12)
    reports += [report_of(it, booted(90.0), url=slow) for it in range(12, 18)]
    made = history_of(runs_of(tmp_path, reports))
    assert problems(made, REGRESSION) == []
    assert made.live is not None
    ready = [it for it in made.live.phases if it.phase == "ready"]
    assert [(it.spec.name, len(it.points)) for it in ready] == [
        ("eu-central tier-1 hermes-basic https://router.example/api", 12),
        (f"eu-central tier-1 hermes-basic {slow}", 6),
    ]
    assert [(it.instances, it.ready) for it in made.live.cells] == [(12, 12), (6, 6)]


def test_ports_of_the_fake_are_one_router(tmp_path: Path) -> None:
    ports = [report_of(it, fake=True, url=f"http://127.0.0.1:{it + 40_000}") for it in range(3)]
    made = history_of(runs_of(tmp_path, ports), fake=True).fake
    assert made is not None
    assert [(it.spec.router, it.instances) for it in made.cells] == [(None, 3)]


def test_red_groups_are_no_baseline(tmp_path: Path) -> None:
    change = ready(tmp_path, ready_after(*[500.0] * 6, 40.0, 90.0, red=tuple(range(6)))).change
    assert change is not None
    assert (change.before, change.groups, change.limit) == (40.0, 1, None)


def test_no_baseline_is_said_and_is_no_failure(tmp_path: Path) -> None:
    made = history_of(runs_of(tmp_path, ready_after(40.0, 40.0, 400.0)))
    assert problems(made, REGRESSION) == []


def test_two_reports_are_enough_to_compare(tmp_path: Path) -> None:
    # Where none was green, the one before is better than nothing.
    change = ready(tmp_path, ready_after(40.0, 90.0, red=(0,))).change
    assert change is not None
    assert (change.before, change.now, change.groups) == (40.0, 90.0, 1)
    assert (change.limit, change.since) == (None, None)


def test_a_phase_that_the_newest_group_has_not_gone_through_has_no_change(tmp_path: Path) -> None:
    west = SPEC.model_copy(update={"region_id": "us-west"})
    reports = [report_of(0, booted(40.0)), report_of(1, booted(40.0, spec=west))]
    assert [it.change for it in live(runs_of(tmp_path, reports)).phases] == [None, None]


def test_a_flaky_test_has_passed_and_failed_on_one_commit(tmp_path: Path) -> None:
    same = {"commit": "c"}
    broken = an_instance(failures=(failure("AssertionError: no"),))
    reports = [
        report_of(0, outcomes={TEST: "passed", "other": "passed"}, pipeline=same),
        report_of(1, broken, outcomes={TEST: "failed", "other": "passed"}, pipeline=same),
        report_of(2, outcomes={TEST: "passed", "other": "failed"}),
    ]
    made = history_of(runs_of(tmp_path, reports))
    assert made.live is not None
    first, second = made.live.tests
    assert (first.test, first.passed, first.failed, first.flaky_on) == (TEST, 2, 1, ("c",))
    assert (first.last_failed, first.words) == (1, "AssertionError: no")
    assert (second.test, second.flaky_on, second.words) == ("other", (), None)
    demand = Demand(frozenset({"flaky"}))
    assert problems(made, demand) == []
    # It is red on the commit that is the newest, and on no other one.
    older = [report_of(it - 4, outcomes=its, pipeline={"commit": "old"}) for it, its in TWICE]
    made = history_of(runs_of(tmp_path / "two", [*older, *reports[:2]]))
    assert made.live is not None
    assert made.live.tests[0].flaky_on == ("old", "c")
    assert problems(made, demand) == [f"flaky: {TEST} passed and failed on c: AssertionError: no"]
    nowhere = report_of(9, pipeline={"commit": None})
    assert problems(history_of(runs_of(tmp_path / "none", [*older, nowhere])), demand) == []


def test_a_test_that_passed_when_it_was_run_again_is_flaky(tmp_path: Path) -> None:
    cured = an_instance(failures=(failure("AssertionError: no", cured=True),))
    made = history_of(runs_of(tmp_path, [report_of(0, cured), report_of(1)]))
    assert made.live is not None
    [test] = made.live.tests
    assert (test.passed, test.failed, test.flaky_on) == (2, 0, ("c0",))
    older = Demand(frozenset({"flaky"}))
    assert problems(made, older) == []
    newest = history_of(runs_of(tmp_path / "newest", [report_of(0, cured)]))
    assert problems(newest, older) == [f"flaky: {TEST} passed and failed on c0"]


def test_a_test_that_fails_in_one_region_or_on_no_commit_is_not_flaky(tmp_path: Path) -> None:
    west = SPEC.model_copy(update={"region_id": "us-west"})
    no_commit = {"commit": None}
    reports = [
        report_of(0, booted(40.0), pipeline={"commit": "c"}),
        report_of(1, booted(40.0, spec=west), outcomes={TEST: "failed"}, pipeline={"commit": "c"}),
        report_of(2, booted(40.0), pipeline=no_commit),
        report_of(3, booted(40.0), outcomes={TEST: "failed"}, pipeline=no_commit),
    ]
    [test] = live(runs_of(tmp_path, reports)).tests
    assert (test.failed, test.flaky_on) == (2, ())


def test_runs_of_a_test_are_added_up(tmp_path: Path) -> None:
    reports = [report_of(number) for number in range(2)]
    several = [
        it.model_copy(
            update={"tests": tuple(t.model_copy(update={"runs": 5, "passed": 4}) for t in it.tests)}
        )
        for it in reports
    ]
    [test] = live(runs_of(tmp_path, several)).tests
    assert (test.runs, test.runs_passed) == (10, 8)


def test_boots_by_spec(tmp_path: Path) -> None:
    west = SPEC.model_copy(update={"region_id": "us-west"})
    lost = failure("never ready", at=901.0, phase="ready")
    reports = [
        report_of(0, booted(40.0), booted(60.0, 1), booted(900.0, 2, failures=(lost,))),
        report_of(1, booted(900.0, spec=west, failures=(lost,))),
        report_of(2, an_instance(phases={}, spans=())),
    ]
    east, other = live(runs_of(tmp_path, reports)).cells
    assert (east.instances, east.ready) == (3, 2)
    assert (other.spec.region, other.instances, other.ready) == ("us-west", 1, 0)


def test_tokens_by_group(tmp_path: Path) -> None:
    took = TokensReport(input_tokens=100, output_tokens=20)
    reports = [report_of(it, an_instance(tokens=took), an_instance()) for it in range(2)]
    overview = live(runs_of(tmp_path, reports))
    assert [(it.input_tokens, it.output_tokens, it.tokens) for it in overview.groups] == [
        (100, 20, 120)
    ] * 2


def test_live_runs_and_those_of_the_fake_are_never_in_one_figure(tmp_path: Path) -> None:
    reports = [report_of(0), report_of(1, fake=True), report_of(2, fake=True)]
    runs = runs_of(tmp_path, reports)
    alone, both = history_of(runs), history_of(runs, fake=True)
    assert alone.fake is None
    assert alone.live == both.live
    assert both.live is not None
    assert both.fake is not None
    assert [len(it.groups) for it in (both.live, both.fake)] == [1, 2]
    assert history_of(runs[1:]).live is None


def test_the_last_groups_and_none_after_one_that_is_named(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, [report_of(number) for number in range(6)])
    assert [it.name for it in live(runs, last=2).groups] == ["g4", "g5"]
    assert [it.name for it in live(runs, last=2, group="g3").groups] == ["g2", "g3"]
    assert len(live(runs, group="another").groups) == 6


def test_failures_and_leaks_of_the_newest_group(tmp_path: Path) -> None:
    leaked = booted(40.0, outcome="leaked", leak="not confirmed")
    many = {f"t{number}": "failed" for number in range(22)}
    older = report_of(0, leaked, outcomes={TEST: "failed"})
    made = history_of(runs_of(tmp_path, [older, report_of(1, leaked, outcomes=many)]))
    demand = Demand(frozenset({"failure", "leak"}))
    leak, red = problems(made, demand)
    assert leak == "leak: night-0 may still run; hydra-smoke sweep --run-id night"
    assert red.startswith("failure: run run-1 (exit code 1): t0; t1; ")
    assert red.endswith("t19; and 2 more")
    unnamed = booted(40.0, outcome="leaked", id=None, idempotency_key=None)
    broken = report_of(2, unnamed, run_id="x; rm -rf ~", exit_code=2, outcomes={TEST: "passed"})
    made = history_of(runs_of(tmp_path / "more", [broken]))
    assert problems(made, demand) == [
        "leak: an instance may still run; look for it at the provider",
        "failure: run x; rm -rf ~ (exit code 2): no test of it failed",
    ]


def test_failed_tests_have_their_last_words(tmp_path: Path) -> None:
    first, last = (an_instance(failures=(failure(it),)) for it in ("no", "no more\nat all"))
    reports = [
        report_of(0, first, outcomes={TEST: "failed"}),
        report_of(1, last, outcomes={TEST: "failed", "other": "failed"}),
    ]
    assert problems(history_of(runs_of(tmp_path, reports)), Demand(frozenset({"failure"}))) == [
        f"failure: run run-1 (exit code 1): {TEST}: no more; other"
    ]


def test_a_group_of_the_future_is_named_and_judged_by_nothing(tmp_path: Path) -> None:
    day = timedelta(days=1)
    wrong = [
        report_of(it, began=NOON + 9 * day, pipeline={"group": "far"}, fake=it == 3)
        for it in (2, 3)
    ]
    apart = [
        report_of(4, began=NOON + day, exit_code=1),
        # A group began when its first run did: a red run is not hidden by its own clock.
        report_of(5, began=NOON + 9 * day, exit_code=1, pipeline={"group": "g4"}),
    ]
    runs = runs_of(tmp_path, [report_of(0), *wrong, *apart])
    told = "group far: it began in the future, 2026-01-11 12:00 UTC"
    made = history_of(runs, now=NOON)
    of_the_fake = "runs of the fake router: 1; --include-fake shows them"
    assert made.skipped == (told, of_the_fake)
    assert made.live is not None
    assert [(it.name, it.runs) for it in made.live.groups] == [("g0", 1), ("g4", 2)]
    both = history_of(runs, fake=True, now=NOON)
    assert (both.fake, both.skipped) == (None, (told, told))
    # What a pipeline asks for is missing then, and red.
    asked = history_of(runs, group="far", now=NOON)
    [red] = problems(asked, Demand(frozenset({"failure"}), group="far"))
    assert red == "missing: group far has 0 runs, and must have 1; the newest groups are g4, g0"


def test_a_group_must_have_the_runs_that_are_expected(tmp_path: Path) -> None:
    shard = {"group": "g", "commit": "c"}
    reports = [
        report_of(0, outcomes={TEST: "failed"}, pipeline={"group": "last week"}),
        report_of(1, outcomes={"a": "passed"}, pipeline=shard),
        report_of(2, outcomes={"b": "failed"}, pipeline=shard),
    ]
    runs = runs_of(tmp_path, reports)
    fail_on = frozenset({"failure"})

    def told(group: str | None, expect: int | None) -> list[str]:
        return problems(history_of(runs, group=group), Demand(fail_on, group, expect))

    [red] = told("g", 2)
    assert red.startswith("failure: run run-2")
    few, same = told("g", 3)
    assert few == "missing: group g has 2 runs, and must have 3"
    assert same == red
    # Nothing is said of other groups.
    known = "; the newest groups are g, last week"
    assert told("none", 3) == [f"missing: group none has 0 runs, and must have 3{known}"]
    assert told("none", None) == [f"missing: group none has 0 runs, and must have 1{known}"]
    assert told(None, 3)[0] == "missing: the newest group has 2 runs, and must have 3"
    both = history_of([*runs, *runs_of(tmp_path / "f", [report_of(3, fake=True)])], fake=True)
    assert len(problems(both, Demand(fail_on, "g3"))) == 0


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_any_set_of_reports_makes_a_history_as_its_schema_says(
    tmp_path_factory: pytest.TempPathFactory, seed: int, many: int
) -> None:
    chance = random.Random(seed)
    reports = [a_random_report(chance, number) for number in range(many)]
    runs = runs_of(tmp_path_factory.mktemp("runs"), reports)
    made = history_of(runs, fake=True, last=chance.randint(1, 9))
    Draft202012Validator(json.loads(SCHEMA.read_text("utf-8"))).validate(
        json.loads(files.as_json(made))
    )
    shuffled = chance.sample(runs, len(runs))
    assert history_of(shuffled, fake=True) == history_of(runs, fake=True)
    for overview in made.overviews.values():
        for phase in overview.phases:
            for point in phase.points:
                assert 0 <= point.median <= point.slowest
        assert sum(it.ready for it in overview.cells) <= sum(it.instances for it in overview.cells)
        assert len(overview.leaks) == sum(it.leaks for it in overview.groups)


def a_random_report(chance: random.Random, number: int) -> Report:
    specs = [SPEC.model_copy(update={"region_id": it}) for it in ("eu-central", "us-west")]
    instances = [
        booted(
            0.0,
            slot,
            spec=chance.choice([*specs, None]),
            outcome=chance.choice(["deleted", "leaked", "kept", "attached", "absent"]),
            phases=chance.choice([{}, {"ready": chance.random() * 100}]),
            spans=tuple(
                SpanReport(
                    at=0.0, phase=chance.choice(["ready", "turn"]), seconds=chance.random() * 100
                )
                for _ in range(chance.randrange(4))
            ),
        )
        for slot in range(chance.randint(1, 3))
    ]
    tests = chance.sample(["a", "b", "c"], chance.randint(1, 3))
    words = ["passed", "failed", "error", "skipped", "xfailed", "interrupted"]
    return report_of(
        number,
        *instances,
        outcomes={test: chance.choice(words) for test in tests},
        fake=chance.random() < 0.3,
        exit_code=chance.choice([0, 0, 1, 2]),
        pipeline={
            "group": f"g{chance.randrange(6)}",
            "attempt": chance.choice([None, 1, 2]),
            "commit": chance.choice([None, "c"]),
        },
    )
