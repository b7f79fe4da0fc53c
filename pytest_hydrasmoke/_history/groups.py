"""Merge the runs of one pipeline run: shards, cells of a matrix, repeated jobs; pure.

A later attempt of the same job that has all tests and specs of a run repeats that run: then the
attempt decides how the group ended, and the earlier run counts only for what it alone saw (its
tests, its leaks, its tokens). Where that is not sure, both count: red stays red.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

from .runs import Leak, PastRun, Spec

Outcome = Literal["passed", "failed", "leaked"]


@dataclass(frozen=True)
class Group:
    name: str
    runs: tuple[PastRun, ...]

    @property
    def began(self) -> datetime:
        return self.runs[0].began

    @cached_property
    def counted(self) -> tuple[PastRun, ...]:
        """Its runs without those that a later attempt repeats."""
        latest = self._latest()
        return tuple(
            run
            for run in self.runs
            if not any(self._is_told_again(run, other) for other in latest[run.of.job])
        )

    def _is_told_again(self, run: PastRun, other: PastRun) -> bool:
        """Return whether `other` repeats a run, and can't be the repetition of another one.

        Cells of a matrix may have one job's name, and the same tests.
        """
        if not is_repeated(run, other):
            return False
        alike = [it for it in self._attempts[run.of.job, run.of.attempt] if is_repeated(it, other)]
        attempt = self._attempts[other.of.job, other.of.attempt]
        return len(alike) <= sum(is_repeated(run, it) for it in attempt)

    @cached_property
    def _attempts(self) -> dict[tuple[str | None, int | None], list[PastRun]]:
        attempts: dict[tuple[str | None, int | None], list[PastRun]] = defaultdict(list)
        for run in self.runs:
            attempts[run.of.job, run.of.attempt].append(run)
        return attempts

    def _latest(self) -> dict[str | None, list[PastRun]]:
        """Return each job's latest attempt of those that repeat the same runs: few of many."""
        latest: dict[tuple[object, ...], PastRun] = {}
        for run in sorted(self.runs, key=lambda it: it.of.attempt or 0):
            latest[run.of.job, run.tests, run.specs, len(run.cases)] = run
        jobs: dict[str | None, list[PastRun]] = defaultdict(list)
        for run in latest.values():
            jobs[run.of.job].append(run)
        return jobs

    @cached_property
    def failed(self) -> tuple[PastRun, ...]:
        return tuple(run for run in self.counted if run.is_red)

    @cached_property
    def leaks(self) -> tuple[Leak, ...]:
        # An instance that an earlier attempt left behind still costs money.
        return tuple(leak for run in self.runs for leak in run.leaks)

    @cached_property
    def outcome(self) -> Outcome:
        if self.leaks:
            return "leaked"
        return "failed" if self.failed else "passed"

    def models_of(self, spec: Spec) -> str:
        """Return the models that answered for a spec; "" where none was named."""
        boots = ((run, boot) for run in self.runs for boot in run.boots)
        its = {model for run, it in boots if run.spec_of(it) == spec for model in it.models}
        return ", ".join(sorted(its))

    @cached_property
    def times(self) -> dict[tuple[str, Spec], list[float]]:
        """The seconds of each phase by spec, of the runs that count."""
        times: dict[tuple[str, Spec], list[float]] = defaultdict(list)
        for run in self.counted:
            for boot in run.boots:
                if boot.spec is not None:
                    for span in boot.whole_spans:
                        times[span.phase, run.spec_of(boot)].append(span.seconds)
        return times


def is_repeated(run: PastRun, other: PastRun) -> bool:
    """Return whether `other` is a later attempt of a run's job, and has all its tests and specs."""
    mine, its = run.of, other.of
    if mine.job is None or mine.job != its.job or not run.begun:
        return False
    later = mine.attempt is not None and its.attempt is not None and its.attempt > mine.attempt
    whole = len(run.cases) + run.not_run <= len(other.cases)
    return later and whole and run.begun <= other.tests and run.specs <= other.specs


def grouped(runs: Sequence[PastRun]) -> list[Group]:
    """Merge runs into groups, oldest first."""
    merged: dict[str, list[PastRun]] = {}
    for run in sorted(runs, key=lambda it: (it.began, it.run_id)):
        merged.setdefault(run.of.group, []).append(run)
    groups = [Group(name, tuple(its)) for name, its in merged.items()]
    return sorted(groups, key=lambda group: group.began)
