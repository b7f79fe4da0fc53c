"""What stands out in a history, the worst first, and which of it makes the history red; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pytest_hydrasmoke._base.text import first_few
from pytest_hydrasmoke._report.axis import duration
from pytest_hydrasmoke._report.model import NOT_ENDED

from .contents import (
    Change,
    GroupFigures,
    History,
    Overview,
    PhaseFigures,
)
from .regression import ENOUGH

_MOST = 20
"""How many names are listed."""
_GROUPS = 5
"""How many groups are named where the one that was asked for is missing."""


class Finding(NamedTuple):
    """A line about the newest group, or about all of them."""

    kind: str
    """What `--fail-on` calls it, or a word of its own."""
    words: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.words}"

    @property
    def is_bad(self) -> bool:
        return self.kind in CONDITIONS


def problems(history: History, demand: Demand) -> list[str]:
    """Return why the history is red; nothing if it is not. Not all of it may have been shown."""
    judged = demand.judged(history.overviews.values())
    newest = [it.newest for it in judged]
    # Without a name, each kind of router has a newest group of its own: the live one is expected.
    runs = sum(it.runs for it in newest if it.name == newest[0].name)
    expected = demand.expect or 1
    missing: list[str] = []
    if history.overviews and runs < expected:
        name = "the newest group" if demand.group is None else f"group {demand.group}"
        has = f"{runs} {'report' if runs == 1 else 'reports'}"
        there = "" if judged else _there_are(history)
        missing = [f"missing: {name} has {has}, and must have {expected}{there}"]
    return [*missing, *_red(judged, demand), *_hidden(history, demand)]


def _hidden(history: History, demand: Demand) -> list[str]:
    """Return what is, or may be, red in what has no place in the history."""
    if not demand.fail_on:
        return []
    more = len(history.unread) - _MOST
    unread = [*history.unread[:_MOST], *([f"{more} more"] if more > 0 else [])]
    apart = _red(demand.judged(history.of_the_future), demand)
    return [*(f"unread: {it}" for it in unread), *apart]


def _red(judged: Iterable[Overview], demand: Demand) -> list[str]:
    return [str(it) for one in judged for it in findings(one) if it.kind in demand.fail_on]


def _there_are(history: History) -> str:
    """Return the names of the newest groups, for whoever asked for one that is not there."""
    groups = [group for overview in history.overviews.values() for group in overview.groups]
    newest = sorted(groups, key=lambda group: group.began, reverse=True)[:_GROUPS]
    return f"; the newest groups are {', '.join(dict.fromkeys(it.name for it in newest))}"


def no_commit(history: History, demand: Demand) -> str | None:
    """Return why no test can be called flaky; None if one can, or nobody asks for it."""
    newest = [it.newest for it in demand.judged(history.overviews.values())]
    nameless = [group.name for group in newest if group.commit is None]
    if "flaky" not in demand.fail_on or not nameless:
        return None
    return (
        f"flaky is not judged: no report of group {', '.join(nameless)} names a commit, and a test "
        "is flaky if it passed and failed on one commit. Reports of runs on GitHub, GitLab or "
        "Jenkins name it"
    )


def findings(overview: Overview) -> Iterator[Finding]:
    """Yield what stands out in an overview, the worst first."""
    newest = len(overview.groups) - 1
    for leak in overview.leaks:
        if leak.group == newest:
            state = "was not seen deleted" if overview.fake else "may still run"
            name = leak.key or leak.id or "an instance"
            yield Finding("leak", f"{name} {state}; {leak.way_out}")
    yield from (Finding("failure", words) for words in _failures(overview))
    for phase in overview.phases:
        if phase.change is not None and phase.change.since is not None:
            since = overview.groups[phase.change.since]
            yield Finding("regression", f"{_slower(phase, phase.change)}, since {_place(since)}")
    commit = overview.newest.commit
    for test in overview.tests:
        # Only the newest commit is judged: a test that is fixed would be red forever.
        if commit is not None and commit in test.flaky_on:
            words = f": {test.words}" if test.words else ""
            yield Finding("flaky", f"{test.test} passed and failed on {commit[:12]}{words}")
    old = [it for it in overview.leaks if it.group != newest]
    if old:
        names = [f"{it.key or it.id or it.run_id} ({it.way_out})" for it in reversed(old)]
        yield Finding("leaked before", first_few(names))
    yield from _unjudged(overview, newest)


def _slower(phase: PhaseFigures, change: Change) -> str:
    models = f", its model changed from {' to '.join(change.models)}" if change.models else ""
    usual = f"usually {duration(change.usual)}, {change.ratio}{models}"
    return f"{phase.phase} of {phase.spec} took {duration(change.now)} ({usual})"


def _failures(overview: Overview) -> Iterator[str]:
    newest = overview.newest
    words = {test.test: f"{test.test}: {test.words}" for test in overview.tests if test.words}
    for run in newest.failed:
        tests = "; ".join(words.get(it, it) for it in run.tests[:_MOST]) or "no test of it failed"
        more = f"; and {len(run.tests) - _MOST} more" if len(run.tests) > _MOST else ""
        # Nobody knows the exit code of a run that did not end.
        code = "" if run.ended == NOT_ENDED else f"exit code {run.exit_code}"
        how = ", ".join(filter(None, (code, run.ended)))
        left = f"; {run.not_run} of its tests did not run" if run.not_run else ""
        of = f" of {newest.name}" if newest.runs + newest.repeated > 1 else ""
        yield f"run {run.run_id}{of} ({how}): {tests}{more}{left}"


def _place(group: GroupFigures) -> str:
    return f"{group.name}, commit {group.commit[:12]}" if group.commit else group.name


def _unjudged(overview: Overview, newest: int) -> Iterator[Finding]:
    phases = [it for it in overview.phases if it.points[-1].group == newest]
    few = [it for it in phases if it.change is None or it.change.limit is None]
    if few:
        which = "no phase" if len(few) == len(phases) else f"not each of {len(phases)} phases"
        words = f"{which} has {ENOUGH} green runs before, of the same spec, to be compared with"
        yield Finding("not judged", words)


CONDITIONS = ("failure", "leak", "regression", "flaky")
"""The kinds of findings that can make a history red."""


@dataclass(frozen=True, slots=True)
class Demand:
    """The conditions that make a history red."""

    fail_on: frozenset[str] = frozenset()
    group: str | None = None
    """The judged group; the newest one if None."""
    expect: int | None = None
    """How many runs it must have at least."""

    def judged(self, overviews: Iterable[Overview]) -> list[Overview]:
        """Return those whose newest group is judged: an older one is no substitute."""
        return [it for it in overviews if self.group in (None, it.newest.name)]
