"""The reasons why a history is red, a line each; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_hydrasmoke._base.commands import PLAIN
from pytest_hydrasmoke._base.run_keys import name_problem
from pytest_hydrasmoke._report.html.axis import clock
from pytest_hydrasmoke._report.model import NOT_ENDED

from .model import History, LeakFigures, Overview, PhaseFigures, TestFigures

_MOST = 20
"""How many names are listed."""
_GROUPS = 5
"""How many groups are named where the one that was asked for is missing."""


@dataclass(frozen=True, slots=True)
class Demand:
    """The conditions that make a history red."""

    fail_on: frozenset[str] = frozenset()
    after: int = 1
    """How many groups in a row must be slower than usual."""
    group: str | None = None
    """The judged group; the newest one if None."""
    expect: int | None = None
    """How many runs it must have at least."""


def problems(history: History, demand: Demand) -> list[str]:
    """Return why the history is red; nothing if it is not."""
    newest = [overview.groups[-1] for overview in history.overviews.values()]
    judged = [group for group in newest if demand.group in (None, group.name)]
    expected, runs = demand.expect or 1, sum(group.runs for group in judged)
    red: list[str] = []
    if not judged or (demand.expect is not None and runs < expected):
        name = "the newest group" if demand.group is None else f"group {demand.group}"
        few = f"missing: {name} has {_count(runs, 'run')}, and must have {expected}"
        red = [few if judged else few + _there_are(history)]
    if judged:
        # An older group must not stand in for a missing one.
        red += _of_all(history.overviews.values(), demand)
    return [*red, *hidden(history, demand)]


def hidden(history: History, demand: Demand) -> list[str]:
    """Return what is, or may be, red in what has no place in the history."""
    if not demand.fail_on:
        return []
    more = len(history.unread) - _MOST
    unread = [*history.unread[:_MOST], *([f"{more} more"] if more > 0 else [])]
    return [*(f"unread: {line}" for line in unread), *_of_all(history.misdated, demand)]


def _there_are(history: History) -> str:
    """Return the names of the newest groups, for whoever asked for one that is not there."""
    groups = [group for overview in history.overviews.values() for group in overview.groups]
    newest = sorted(groups, key=lambda group: group.began, reverse=True)[:_GROUPS]
    names = dict.fromkeys(group.name for group in newest)
    return f"; the newest groups are {', '.join(names)}" if names else ""


def no_commit(history: History, demand: Demand) -> str | None:
    """Return why no test can be called flaky; None if one can, or nobody asks for it."""
    if "flaky" not in demand.fail_on:
        return None
    newest = (overview.groups[-1] for overview in history.overviews.values())
    nameless = [
        group.name
        for group in newest
        if demand.group in (None, group.name) and group.commit is None
    ]
    if not nameless:
        return None
    return (
        f"flaky is not judged: no report of group {', '.join(nameless)} names a commit, and a test "
        "is flaky if it passed and failed on one commit. Reports of runs on GitHub, GitLab or "
        "Jenkins name it"
    )


def _of_all(overviews: Iterable[Overview], demand: Demand) -> Iterator[str]:
    for overview in overviews:
        if demand.group in (None, overview.groups[-1].name):
            yield from _of_one(overview, demand)


def _of_one(overview: Overview, demand: Demand) -> Iterator[str]:
    if "leak" in demand.fail_on:
        yield from (f"leak: {words}" for words in leaks(overview))
    if "failure" in demand.fail_on:
        yield from (f"failure: {words}" for words in failures(overview))
    if "regression" in demand.fail_on:
        slow = regressions(overview, demand.after)
        yield from (f"regression: {regression(phase, overview)}" for phase in slow)
    if "flaky" in demand.fail_on:
        # Not on any commit: a test that was flaky once, and is fixed, would be red forever.
        commit = overview.groups[-1].commit
        yield from (
            f"flaky: {flaky(test, [commit])}"
            for test in overview.tests
            if commit is not None and commit in test.flaky_on
        )


def leaks(overview: Overview) -> Iterator[str]:
    """Yield a line for each leak of the newest group."""
    for leak in overview.leaks:
        if leak.group == len(overview.groups) - 1:
            name = leak.key or leak.id or "an instance"
            state = "was not seen deleted" if overview.fake else "may still run"
            yield f"{name} {state}; {way_out(leak, fake=overview.fake)}"


def way_out(leak: LeakFigures, *, fake: bool) -> str:
    """Return what to do about a leak: a command to paste, if its run id is valid."""
    if fake:
        return "the fake router ended with its run: nothing to sweep"
    if name_problem(leak.run_id) is not None:
        return "look for it at the provider"
    return PLAIN.sweep(leak.run_id)


def failures(overview: Overview) -> Iterator[str]:
    """Yield a line for each failed run of the newest group."""
    newest = overview.groups[-1]
    words = {test.test: test.words for test in overview.tests if test.words}

    def shown(test: str) -> str:
        return f"{test}: {words[test]}" if test in words else test

    for run in newest.failed:
        tests = "; ".join(map(shown, run.tests[:_MOST])) or "no test of it failed"
        more = f"; and {len(run.tests) - _MOST} more" if len(run.tests) > _MOST else ""
        # Nobody knows the exit code of a run that did not end.
        code = "" if run.ended == NOT_ENDED else f"exit code {run.exit_code}"
        how = ", ".join(filter(None, (code, run.ended)))
        left = f"; {run.not_run} of its tests did not run" if run.not_run else ""
        yield (f"run {run.run_id} of group {newest.name} ({how}): {tests}{more}{left}")


def regressions(overview: Overview, after: int) -> list[PhaseFigures]:
    """Return the phases slower than usual for at least `after` groups in a row."""
    return [phase for phase in overview.phases if is_regression(phase, after)]


def is_regression(phase: PhaseFigures, after: int) -> bool:
    """Return whether a phase was slower than usual for at least `after` groups in a row."""
    return phase.change is not None and phase.change.in_a_row >= after


def regression(phase: PhaseFigures, overview: Overview) -> str:
    """Describe a phase that is slower than usual: from, to, since when."""
    change = phase.change
    assert change is not None
    assert change.since is not None
    first = overview.groups[change.since]
    group = f"group {first.name}"
    since = f"commit {first.commit[:12]} ({group})" if first.commit else group
    return (
        f"{phase.phase} of {phase.spec.name}: from {clock(change.before)} to {clock(change.now)}, "
        f"since {since}"
    )


def flaky(test: TestFigures, on: Sequence[str]) -> str:
    """Describe a test that both passed and failed on each of some commits."""
    commits = ", ".join(commit[:12] for commit in on[:3])
    more = f" and {len(on) - 3} more" if len(on) > 3 else ""
    words = f": {test.words}" if test.words else ""
    return f"{test.test} passed and failed on {commits}{more}{words}"


def without_baseline(overview: Overview) -> str | None:
    """Return a note on phases of the newest group without a baseline; None if all have one."""
    newest = len(overview.groups) - 1
    phases = [phase for phase in overview.phases if phase.points[-1].group == newest]
    few = [phase for phase in phases if phase.change is None or phase.change.limit is None]
    if not few:
        return None
    which = "no phase" if len(few) == len(phases) else f"not all of {len(phases)} phases"
    return (
        f"no baseline: {which} could be judged, which takes 5 green groups before with instances "
        "of the same spec"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
