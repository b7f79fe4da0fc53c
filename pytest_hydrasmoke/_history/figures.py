"""Compute figures from groups of runs; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from statistics import median

from pytest_hydrasmoke._base.run_keys import PLAIN, name_problem
from pytest_hydrasmoke._journal.story import PHASES

from .contents import (
    CellFigures,
    Change,
    FailedRun,
    GroupFigures,
    History,
    LeakFigures,
    Overview,
    PhaseFigures,
    Point,
    TestFigures,
)
from .groups import MOST_GROUPS, Group, grouped, misdated
from .runs import Boot, Found, PastRun, PastTest, Spec
from .statistics import judged


def history(found: Found, *, last: int, group: str | None, fake: bool, now: datetime) -> History:
    """Build the history of the last `last` groups found, up to `group` if it is one of them.

    Runs of the fake are included if `fake` is set. Groups with a wrong clock have no place among
    the others, and are listed.
    """
    skipped = [*found.unread, *found.skipped]
    apart: list[Overview] = []
    shown: dict[bool, Overview] = {}
    for kind in (False, True) if fake else (False,):
        groups = grouped([run for run in found.runs if run.fake is kind])
        wrong = {it.name: words for it in groups if (words := misdated(it, now)) is not None}
        skipped += wrong.values()
        apart += [overview([it], fake=kind) for it in groups if it.name in wrong]
        if placed := _shown([it for it in groups if it.name not in wrong], last, group):
            shown[kind] = overview(placed, fake=kind)
    if not fake and (fakes := sum(run.fake for run in found.runs)):
        skipped.append(f"runs of the fake router: {fakes}; --include-fake shows them")
    return History(
        live=shown.get(False),
        fake=shown.get(True),
        misdated=tuple(apart),
        skipped=tuple(skipped),
        unread=tuple(found.unread),
    )


def _shown(groups: list[Group], last: int, group: str | None) -> list[Group]:
    names = [group.name for group in groups]
    if group in names:
        groups = groups[: names.index(group) + 1]
    return groups[-min(last, MOST_GROUPS) :]


def overview(groups: Sequence[Group], *, fake: bool) -> Overview:
    """Compute the figures of groups, oldest first, of one kind of router."""
    boots = [it for group in groups for it in group.boots]
    specs = {spec for spec, _ in boots}
    shown = {it: it for it in specs}
    if len({it.router for it in specs}) == 1:
        # The router is named only if it distinguishes specs.
        shown = {it: it.model_copy(update={"router": None}) for it in specs}
    return Overview(
        fake=fake,
        groups=tuple(map(_group, groups)),
        phases=tuple(_phases(groups, shown)),
        tests=tuple(sorted(_tests(groups), key=_by_flakiness)),
        cells=tuple(_cells(boots, groups, shown)),
        leaks=tuple(
            LeakFigures(group=number, **leak._asdict(), way_out=_way_out(leak.run_id, fake=fake))
            for number, group in enumerate(groups)
            for leak in group.leaks
        ),
    )


def _way_out(run_id: str, *, fake: bool) -> str:
    if fake:
        return "the fake router ended with its run: nothing to sweep"
    if name_problem(run_id) is not None:
        return "look for it at the provider"
    return PLAIN.sweep(run_id)


def _group(group: Group) -> GroupFigures:
    cases = [case for run in group.counted for case in run.cases]
    # The first of its runs that knows it tells of the pipeline run.
    known = [run.of for run in group.runs]
    return GroupFigures(
        name=group.name,
        began=group.began,
        commit=next((it.commit for it in known if it.commit), None),
        branch=next((it.branch for it in known if it.branch), None),
        url=next((it.url for it in known if it.url), None),
        outcome=group.outcome,
        runs=len(group.counted),
        told_again=len(group.runs) - len(group.counted),
        failed=tuple(
            FailedRun(
                run_id=run.run_id,
                exit_code=run.exit_code,
                ended=run.ended,
                not_run=run.not_run,
                tests=tuple(case.id for case in run.cases if case.is_red),
            )
            for run in group.failed
        ),
        tests_passed=sum(case.is_green for case in cases),
        tests_failed=sum(case.is_red for case in cases),
        leaks=len(group.leaks),
        input_tokens=sum(boot.input_tokens for _, boot in group.boots),
        output_tokens=sum(boot.output_tokens for _, boot in group.boots),
        ready=max(
            (median(its) for (name, _), its in group.times.items() if name == "ready"), default=None
        ),
    )


def _phases(groups: Sequence[Group], shown: Mapping[Spec, Spec]) -> Iterator[PhaseFigures]:
    series: dict[tuple[str, Spec], list[Point]] = defaultdict(list)
    budgets: dict[str, float] = {}
    for number, group in enumerate(groups):
        for key, seconds in group.times.items():
            point = Point(
                group=number, count=len(seconds), median=median(seconds), slowest=seconds[-1]
            )
            series[key].append(point)
        for run in group.runs:
            budgets |= run.budgets
    for phase, spec in sorted(series, key=lambda it: (PHASES.index(it[0]), it[1].name)):
        points = series[phase, spec]
        yield PhaseFigures(
            phase=phase,
            spec=shown[spec],
            budget=budgets.get(phase),
            points=tuple(points),
            change=_change(points, groups, spec),
        )


def _change(points: Sequence[Point], groups: Sequence[Group], spec: Spec) -> Change | None:
    *before, newest = points
    if newest.group != len(groups) - 1 or not before:
        return None
    found = judged(
        [point.median for point in points],
        [groups[point.group].outcome == "passed" for point in points],
    )
    compared = found.usual or [before[-1].median]
    return Change(
        now=newest.median,
        before=median(compared),
        groups=len(compared),
        limit=found.limit,
        since=None if found.since is None else points[found.since].group,
        models=None if found.since is None else _changed(points, found.since, groups, spec),
    )


def _changed(
    points: Sequence[Point], since: int, groups: Sequence[Group], spec: Spec
) -> tuple[str, str] | None:
    """Return the models that answered before a point and at it, where they are others."""
    its = [groups[it.group].models.get(spec, "") for it in points[: since + 1]]
    before = next(filter(None, reversed(its[:-1])), "")
    return (before, its[-1]) if before and its[-1] and before != its[-1] else None


def _tests(groups: Sequence[Group]) -> Iterator[TestFigures]:
    seen: dict[str, list[tuple[int, PastRun, PastTest]]] = defaultdict(list)
    for number, group in enumerate(groups):
        for run in group.runs:
            for case in run.cases:
                if case.is_green or case.is_red:
                    seen[case.id].append((number, run, case))
    for test, its in seen.items():
        red = [(number, run.words_of(case)) for number, run, case in its if case.is_red]
        yield TestFigures(
            test=test,
            passed=len(its) - len(red),
            failed=len(red),
            flaky_on=_flaky_on(its),
            runs=sum(case.runs or 0 for _, _, case in its),
            runs_passed=sum(min(case.passed or 0, case.runs or 0) for _, _, case in its),
            last_failed=red[-1][0] if red else None,
            words=next((words for _, words in reversed(red) if words), None),
        )


def _flaky_on(its: Sequence[tuple[int, PastRun, PastTest]]) -> tuple[str, ...]:
    """Return the commits on which a test has both passed and failed, with agents of one spec."""
    failed = {
        (run.of.commit, run.specs_of(case))
        for _, run, case in its
        if case.is_red or run.is_cured(case)
    }
    passed = [
        run.of.commit
        for _, run, case in its
        if failed and case.is_green and (run.of.commit, run.specs_of(case)) in failed
    ]
    return tuple(dict.fromkeys(commit for commit in passed if commit is not None))


def _by_flakiness(it: TestFigures) -> tuple[object, ...]:
    return -len(it.flaky_on), -it.failed, -(it.runs - it.runs_passed), it.test


def _cells(
    boots: Sequence[tuple[Spec, Boot]], groups: Sequence[Group], shown: Mapping[Spec, Spec]
) -> Iterator[CellFigures]:
    cells: dict[Spec, list[bool]] = defaultdict(list)
    for spec, boot in boots:
        if boot.ready is not None or boot.lost:
            cells[spec].append(boot.ready is not None)
    for spec, ready in sorted(cells.items(), key=lambda it: it[0].name):
        models = next(filter(None, (it.models.get(spec) for it in reversed(groups))), None)
        yield CellFigures(spec=shown[spec], instances=len(ready), ready=sum(ready), models=models)
