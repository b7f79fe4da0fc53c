"""Merge the runs of one pipeline run: shards, cells of a matrix, repeated jobs; pure.

A later attempt of the same job that has all tests and specs of a run repeats that run: then the
attempt decides how the group ended, and the earlier run counts only for what it alone saw (its
tests, its leaks, its tokens). Where that is not sure, both count: red stays red.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Literal

from .runs import Leak, Run, Spec

MOST_GROUPS = 1_000
FUTURE = timedelta(days=1)
"""How far clocks may be apart."""
EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
"""No run is older than this package."""
Outcome = Literal["passed", "failed", "leaked"]


@dataclass(frozen=True)
class Group:
    """The runs of one pipeline run, oldest first."""

    name: str
    runs: tuple[Run, ...]

    @property
    def began(self) -> datetime:
        # A clock that was never set must not make it the oldest of all.
        believed = (run.began for run in self.runs if run.began >= EARLIEST)
        return next(believed, self.runs[0].began)

    @cached_property
    def counted(self) -> tuple[Run, ...]:
        """Its runs without those that a later attempt repeats."""
        latest = self._latest()
        return tuple(
            run
            for run in self.runs
            if not any(is_repeated(run, other) for other in latest.get(run.job, ()))
        )

    def _latest(self) -> dict[str | None, list[Run]]:
        """Return each job's latest attempt with the same tests and specs: few of many."""
        latest: dict[tuple[object, ...], Run] = {}
        for run in sorted(self.runs, key=lambda it: it.attempt or 0):
            latest[run.job, run.tests, run.specs] = run
        jobs: dict[str | None, list[Run]] = {}
        for run in latest.values():
            jobs.setdefault(run.job, []).append(run)
        return jobs

    @property
    def failed(self) -> tuple[Run, ...]:
        return tuple(run for run in self.counted if run.is_red)

    @property
    def leaks(self) -> tuple[Leak, ...]:
        # An instance that an earlier attempt left behind still costs money.
        return tuple(leak for run in self.runs for leak in run.leaks)

    @property
    def outcome(self) -> Outcome:
        if self.leaks:
            return "leaked"
        return "failed" if self.failed else "passed"

    @property
    def commit(self) -> str | None:
        return next((run.commit for run in self.runs if run.commit), None)

    @property
    def branch(self) -> str | None:
        return next((run.branch for run in self.runs if run.branch), None)

    @property
    def url(self) -> str | None:
        return next((run.url for run in self.runs if run.url), None)

    @cached_property
    def times(self) -> dict[tuple[str, Spec], tuple[float, ...]]:
        """The seconds of each phase by spec, sorted, of the runs that count."""
        times: dict[tuple[str, Spec], list[float]] = {}
        for run in self.counted:
            for key, seconds in run.times.items():
                times.setdefault(key, []).extend(seconds)
        return {key: tuple(sorted(seconds)) for key, seconds in times.items()}


def is_repeated(run: Run, other: Run) -> bool:
    """Return whether `other` is a later attempt of a run's job, and has all its tests and specs."""
    if run.job is None or run.job != other.job or not run.tests:
        return False
    later = run.attempt is not None and other.attempt is not None and other.attempt > run.attempt
    return later and run.tests <= other.tests and run.specs <= other.specs


def misdated(groups: Sequence[Group], now: datetime) -> list[Group]:
    """Return the groups whose runs had a wrong clock, all of them.

    One that begins later than a day from now would be the newest for as long as that takes.
    """
    return [group for group in groups if not EARLIEST <= group.began <= now + FUTURE]


def grouped(runs: Sequence[Run]) -> list[Group]:
    """Merge runs into groups, oldest first."""
    merged: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda it: (it.began, it.run_id)):
        merged.setdefault(run.group, []).append(run)
    groups = [Group(name, tuple(its)) for name, its in merged.items()]
    return sorted(groups, key=lambda group: group.began)
