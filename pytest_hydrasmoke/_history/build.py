"""Compute figures from groups of runs; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median

from pytest_hydrasmoke._core.phases import PHASES

from .groups import MOST_GROUPS, Group, grouped, misdated
from .model import (
    CellFigures,
    Change,
    FailedRun,
    GroupFigures,
    History,
    LeakFigures,
    Overview,
    PhaseFigures,
    Point,
    ProviderFigures,
    SpecFigures,
    TestFigures,
)
from .reading import Found
from .runs import Boot, Case, Spec
from .statistics import BASELINE, baseline, quantile, slow_since


def history(found: Found, *, last: int, group: str | None, fake: bool, now: datetime) -> History:
    """Build the history of the last `last` groups found, up to `group` if it is one of them.

    Runs of the fake are included if `fake` is set. Groups with a wrong clock have no place among
    the others, and are listed.
    """
    skipped = [*found.unread, *found.skipped]
    apart: list[Overview] = []
    kinds: list[Overview | None] = []
    for kind in (False, True) if fake else (False,):
        runs = [run for run in found.runs if run.fake is kind]
        groups = grouped(runs)
        wrong = misdated(groups, now)
        skipped += (_wrong(one, now) for one in wrong)
        apart += filter(None, (overview([one], fake=kind) for one in wrong))
        names = {one.name for one in wrong}
        placed = [one for one in groups if one.name not in names]
        kinds.append(overview(_shown(placed, last, group), fake=kind))
    if not fake and (fakes := sum(run.fake for run in found.runs)):
        skipped.append(f"runs of the fake router: {fakes}; --include-fake shows them")
    return History(
        live=kinds[0],
        fake=kinds[1] if fake else None,
        misdated=tuple(apart),
        skipped=tuple(skipped),
        unread=tuple(found.unread),
    )


def _wrong(group: Group, now: datetime) -> str:
    when = "in the future" if group.began > now else "before there was this plugin"
    return f"group {group.name}: it began {when}, {group.began:%Y-%m-%d %H:%M} UTC"


def _shown(groups: list[Group], last: int, group: str | None) -> list[Group]:
    names = [group.name for group in groups]
    if group in names:
        groups = groups[: names.index(group) + 1]
    return groups[-min(last, MOST_GROUPS) :]


def overview(groups: Sequence[Group], *, fake: bool = False) -> Overview | None:
    """Compute the figures of groups, oldest first, of one kind of router; None without groups."""
    if not groups:
        return None
    # The router is named only if it distinguishes specs.
    several = len({boot.spec.router for boot in _boots(groups)}) > 1
    return Overview(
        fake=fake,
        groups=tuple(map(_group, groups)),
        phases=tuple(_phases(groups, several)),
        tests=tuple(sorted(_tests(groups), key=_by_flakiness)),
        cells=tuple(_cells(groups, several)),
        providers=tuple(_providers(groups)),
        leaks=tuple(
            LeakFigures(group=number, key=leak.key, id=leak.id, run_id=leak.run_id)
            for number, group in enumerate(groups)
            for leak in group.leaks
        ),
    )


def _boots(groups: Sequence[Group]) -> Iterator[Boot]:
    return (boot for group in groups for run in group.runs for boot in run.boots)


def _group(group: Group) -> GroupFigures:
    boots = list(_boots([group]))
    outcomes = [case.outcome for run in group.counted for case in run.cases]
    return GroupFigures(
        name=group.name,
        began=group.began,
        commit=group.commit,
        branch=group.branch,
        url=group.url,
        outcome=group.outcome,
        runs=len(group.counted),
        told_again=len(group.runs) - len(group.counted),
        failed=tuple(
            FailedRun(
                run_id=run.run_id,
                exit_code=run.exit_code,
                ended=run.ended,
                not_run=run.not_run,
                tests=tuple(case.test for case in run.cases if case.outcome == "failed"),
            )
            for run in group.failed
        ),
        tests_passed=outcomes.count("passed"),
        tests_failed=outcomes.count("failed"),
        leaks=len(group.leaks),
        input_tokens=sum(boot.input_tokens for boot in boots),
        output_tokens=sum(boot.output_tokens for boot in boots),
    )


def _phases(groups: Sequence[Group], several: bool) -> Iterator[PhaseFigures]:
    series: dict[tuple[str, Spec], list[Point]] = defaultdict(list)
    for number, group in enumerate(groups):
        for key, seconds in group.times.items():
            series[key].append(_point(number, seconds))
    budgets: dict[str, float] = {}
    for group in groups:
        for run in group.runs:
            budgets |= run.budgets
    for phase, spec in sorted(series, key=lambda it: (PHASES.index(it[0]), it[1])):
        points = series[phase, spec]
        yield PhaseFigures(
            phase=phase,
            spec=SpecFigures.of(spec, several=several),
            budget=budgets.get(phase),
            points=tuple(points),
            change=_change(points, groups),
        )


def _point(number: int, seconds: Sequence[float]) -> Point:
    return Point(
        group=number,
        count=len(seconds),
        median=median(seconds),
        p95=quantile(seconds, 0.95),
        slowest=seconds[-1],
    )


def _change(points: Sequence[Point], groups: Sequence[Group]) -> Change | None:
    *before, newest = points
    if newest.group != len(groups) - 1 or not before:
        return None
    green = [point.median for point in before if groups[point.group].outcome == "passed"]
    compared = green[-BASELINE:] or [before[-1].median]
    usual = baseline(green)
    start = len(points)
    if usual is not None:
        start = slow_since([point.median for point in points], usual.limit)
    return Change(
        now=newest.median,
        before=median(compared),
        groups=len(compared),
        limit=None if usual is None else usual.limit,
        since=points[start].group if start < len(points) else None,
        in_a_row=len(points) - start,
    )


@dataclass(slots=True)
class _Tally:
    """Counts of one test."""

    passed: int = 0
    failed: int = 0
    runs: int = 0
    runs_passed: int = 0
    last_failed: int | None = None
    words: str | None = None
    failed_on: set[tuple[str, frozenset[Spec]]] = field(
        default_factory=set[tuple[str, frozenset[Spec]]]
    )
    """Commits, each with the specs of the instances that were used."""

    def saw(self, case: Case, group: int, commit: str | None) -> None:
        """Count the test's outcome in a run."""
        self.runs += case.runs
        self.runs_passed += case.passed
        if case.cured and commit is not None:
            self.failed_on.add((commit, case.specs))
        if case.outcome == "passed":
            self.passed += 1
            return
        self.failed += 1
        self.last_failed, self.words = group, case.words or self.words
        if commit is not None:
            self.failed_on.add((commit, case.specs))


def _tests(groups: Sequence[Group]) -> Iterator[TestFigures]:
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    for number, group in enumerate(groups):
        for run in group.runs:
            for case in run.cases:
                tallies[case.test].saw(case, number, run.commit)
    flaky = _flaky(groups, tallies)
    for test, tally in tallies.items():
        yield TestFigures(
            test=test,
            passed=tally.passed,
            failed=tally.failed,
            flaky_on=tuple(flaky[test]),
            runs=tally.runs,
            runs_passed=tally.runs_passed,
            last_failed=tally.last_failed,
            words=tally.words,
        )


def _flaky(groups: Sequence[Group], tallies: Mapping[str, _Tally]) -> dict[str, dict[str, None]]:
    """Return the commits on which tests both passed and failed, in order."""
    flaky: dict[str, dict[str, None]] = defaultdict(dict)
    runs = ((run.commit, run.cases) for group in groups for run in group.runs)
    for commit, cases in runs:
        if commit is None:
            continue
        for case in cases:
            failed_on = tallies[case.test].failed_on
            if failed_on and case.outcome == "passed" and (commit, case.specs) in failed_on:
                flaky[case.test][commit] = None
    return flaky


def _by_flakiness(it: TestFigures) -> tuple[object, ...]:
    return -len(it.flaky_on), -it.failed, -(it.runs - it.runs_passed), it.test


def _cells(groups: Sequence[Group], several: bool) -> Iterator[CellFigures]:
    boots: dict[Spec, list[Boot]] = defaultdict(list)
    for boot in _boots(groups):
        if boot.ready is not None or boot.lost:
            boots[boot.spec].append(boot)
    for spec in sorted(boots):
        booted = (boot.ready for boot in boots[spec] if not boot.lost)
        times = sorted(seconds for seconds in booted if seconds is not None)
        yield CellFigures(
            spec=SpecFigures.of(spec, several=several),
            instances=len(boots[spec]),
            ready=len(times),
            median=median(times) if times else None,
            p95=quantile(times, 0.95) if times else None,
            slowest=times[-1] if times else None,
        )


def _providers(groups: Sequence[Group]) -> Iterator[ProviderFigures]:
    boots: dict[tuple[str, ...], list[Boot]] = defaultdict(list)
    for boot in _boots(groups):
        if boot.llm_events or boot.input_tokens or boot.output_tokens or boot.untold:
            boots[boot.providers].append(boot)
    for providers, its in sorted(boots.items()):
        yield ProviderFigures(
            providers=providers,
            instances=len(its),
            llm_events=sum(boot.llm_events for boot in its),
            input_tokens=sum(boot.input_tokens for boot in its),
            output_tokens=sum(boot.output_tokens for boot in its),
            untold=sum(boot.untold for boot in its),
        )
