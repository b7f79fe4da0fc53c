"""Compute figures from groups of runs; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from statistics import median

from pytest_hydrasmoke._base.run_keys import PLAIN, name_problem
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.story import PHASES

from .contents import (
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
from .groups import Group, grouped
from .regression import judged
from .reports import Found
from .runs import PastRun, PastTest, Spec

FUTURE = timedelta(minutes=5)
"""How far clocks may be apart."""


def history(found: Found, *, last: int, group: str | None, fake: bool, now: datetime) -> History:
    """Build the history of the last `last` groups found, up to `group` if it is one of them.

    Runs of the fake are included if `fake` is set. Groups that begin later than `now` are listed,
    and have no place among the others: one would be the newest for as long as its clock is wrong.
    """
    skipped = [*found.unread, *found.skipped]
    apart: list[Overview] = []
    shown: dict[bool, Overview] = {}
    for kind in (False, True) if fake else (False,):
        placed: list[Group] = []
        for it in grouped([run for run in found.runs if run.fake is kind]):
            if it.began <= now + FUTURE:
                placed.append(it)
                continue
            apart.append(overview([it], fake=kind))
            begins = f"it begins in the future, {it.began:%Y-%m-%d %H:%M} UTC"
            skipped.append(safe_line(f"group {it.name}: {begins}: {it.outcome}"))
        names = [it.name for it in placed]
        if group in names:
            placed = placed[: names.index(group) + 1]
        if placed:
            shown[kind] = overview(placed[-last:], fake=kind)
    if not fake and (fakes := sum(run.fake for run in found.runs)):
        skipped.append(f"runs of the fake router: {fakes}; --include-fake shows them")
    return History(
        live=shown.get(False),
        fake=shown.get(True),
        of_the_future=tuple(apart),
        skipped=tuple(skipped),
        unread=tuple(found.unread),
    )


def overview(groups: Sequence[Group], *, fake: bool) -> Overview:
    """Compute the figures of groups, oldest first, of one kind of router."""
    phases = [*_phases(groups)]
    if len({it.spec.router for it in phases}) == 1:
        # The router is named only if it distinguishes specs.
        phases = [it.model_copy(update={"spec": replace(it.spec, router=None)}) for it in phases]
    return Overview(
        fake=fake,
        groups=tuple(map(_group, groups)),
        phases=tuple(sorted(phases, key=lambda it: not it.has_regressed)),
        tests=tuple(sorted(_tests(groups), key=lambda it: (-it.failed, it.test))),
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
    boots = [boot for run in group.runs for boot in run.boots]
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
        repeated=len(group.runs) - len(group.counted),
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
        tokens=sum(boot.input_tokens + boot.output_tokens for boot in boots),
        ready=max(
            (median(its) for (name, _), its in group.times.items() if name == "ready"), default=None
        ),
    )


def _phases(groups: Sequence[Group]) -> Iterator[PhaseFigures]:
    series: dict[tuple[str, Spec], list[Point]] = defaultdict(list)
    for number, group in enumerate(groups):
        for key, times in group.times.items():
            series[key].append(Point(group=number, seconds=median(times)))
    for phase, spec in sorted(series, key=lambda it: (PHASES.index(it[0]), str(it[1]))):
        points = series[phase, spec]
        change = _change(points, groups, spec)
        yield PhaseFigures(phase=phase, spec=spec, points=tuple(points), change=change)


def _change(points: Sequence[Point], groups: Sequence[Group], spec: Spec) -> Change | None:
    *before, newest = points
    if newest.group != len(groups) - 1 or not before:
        return None
    found = judged(
        [point.seconds for point in points],
        [groups[point.group].outcome == "passed" for point in points],
    )
    compared = found.usual or [before[-1].seconds]
    return Change(
        now=newest.seconds,
        usual=median(compared),
        groups=len(compared),
        limit=found.limit,
        since=None if found.since is None else points[found.since].group,
        models=None if found.since is None else _changed(points, found.since, groups, spec),
    )


def _changed(
    points: Sequence[Point], since: int, groups: Sequence[Group], spec: Spec
) -> tuple[str, str] | None:
    """Return the models that answered before a point and at it, where they are others."""
    its = [groups[it.group].models_of(spec) for it in points[: since + 1]]
    before = next(filter(None, reversed(its[:-1])), "")
    return (before, its[-1]) if before and its[-1] and before != its[-1] else None


def _tests(groups: Sequence[Group]) -> Iterator[TestFigures]:
    seen: dict[str, list[tuple[PastRun, PastTest]]] = defaultdict(list)
    for group in groups:
        for run in group.runs:
            for case in run.cases:
                if case.is_green or case.is_red:
                    seen[case.id].append((run, case))
    for test, its in seen.items():
        red = [run.words_of(case) for run, case in its if case.is_red]
        yield TestFigures(
            test=test,
            passed=len(its) - len(red),
            failed=len(red),
            flaky_on=_flaky_on(its),
            words=next(filter(None, reversed(red)), None),
        )


def _flaky_on(its: Sequence[tuple[PastRun, PastTest]]) -> tuple[str, ...]:
    """Return the commits on which a test has both passed and failed, with agents of one spec."""
    failed = {
        (run.of.commit, run.specs_of(case))
        for run, case in its
        if case.is_red or run.is_cured(case)
    }
    passed = [
        run.of.commit
        for run, case in its
        if failed and case.is_green and (run.of.commit, run.specs_of(case)) in failed
    ]
    return tuple(dict.fromkeys(commit for commit in passed if commit is not None))
