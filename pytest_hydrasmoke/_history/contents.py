"""The history as plain data: what `--json` writes, and what every view of it is drawn from.

A group has a number, its place in `groups`: oldest first, so that the last one is judged.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pytest_hydrasmoke._report.parts import Part

from .groups import Outcome
from .regression import SECONDS
from .runs import Spec

SCHEMA_VERSION: Literal[2] = 2


class FailedRun(Part):
    """A run that ended red, and that no later attempt has repeated."""

    run_id: str
    exit_code: int
    ended: str | None
    """What ended the run before its tests were over."""
    not_run: int
    """How many of its tests the run had not begun; 0 if its report does not say it."""
    tests: tuple[str, ...]
    """Those that failed."""


class GroupFigures(Part):
    """The runs of one pipeline run."""

    name: str
    began: datetime
    commit: str | None
    branch: str | None
    url: str | None
    """Where the pipeline run is shown; http or https."""
    outcome: Outcome
    runs: int
    """Those that count: not those that a later attempt has repeated."""
    repeated: int
    """Those that a later attempt has repeated."""
    failed: tuple[FailedRun, ...]
    tests_passed: int
    tests_failed: int
    leaks: int
    tokens: int
    ready: float | None
    """Seconds of the phase `ready`: the median of the spec that took longest; None if no agent was
    ready."""


class Point(Part):
    """A phase in one group: the median of its seconds."""

    group: int
    seconds: float


class Change(Part):
    """The newest group's time of a phase, beside the groups before; seconds."""

    now: float
    usual: float
    """The median of the groups that it is compared with."""
    groups: int
    """How many these are: up to 20 that were green, and not slow; if none was, the one before."""
    limit: float | None
    """What is too slow; None where fewer than 10 groups were green."""
    since: int | None
    """The first of the groups in a row, up to the newest, that were too slow; None where the newest
    is not."""
    models: tuple[str, str] | None = None
    """The models that answered before that group and in it, where they are others."""

    @property
    def ratio(self) -> str | None:
        """How much slower or faster it is; None where that is negligible."""
        if not self.usual or abs(self.now - self.usual) <= SECONDS:
            return None
        ratio = self.now / self.usual
        # Percents in the thousands are hard to read.
        return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio - 1:+.0%}"


class PhaseFigures(Part):
    """A phase of the instances of one spec, by group."""

    phase: str
    spec: Spec
    points: tuple[Point, ...]
    change: Change | None
    """None if the newest group did not go through the phase, or no earlier group did."""

    @property
    def has_regressed(self) -> bool:
        return self.change is not None and self.change.since is not None


class TestFigures(Part):
    """A test over all runs, repeated ones included."""

    test: str
    passed: int
    failed: int
    flaky_on: tuple[str, ...]
    """The commits on which it has both passed and failed, with instances of the same specs."""
    words: str | None
    """The first line of its last failure with a message."""


class LeakFigures(Part):
    """An instance whose deletion was not confirmed."""

    group: int
    key: str | None
    id: str | None
    run_id: str
    way_out: str
    """What to do about it: a command to paste, if the run id is valid."""


class Overview(Part):
    """Runs of live routers, or of the fake."""

    fake: bool
    groups: tuple[GroupFigures, ...]
    phases: tuple[PhaseFigures, ...]
    """Those that have regressed first, then in the order of an instance's life."""
    tests: tuple[TestFigures, ...]
    leaks: tuple[LeakFigures, ...]

    @property
    def newest(self) -> GroupFigures:
        return self.groups[-1]


class History(Part):
    """What `hydra-smoke history` has found; live runs and those of the fake are never mixed."""

    schema_version: Literal[2] = SCHEMA_VERSION
    live: Overview | None
    fake: Overview | None
    """None unless it was asked for."""
    of_the_future: tuple[Overview, ...] = ()
    """Groups that begin later than now, each alone: none is the newest one."""
    skipped: tuple[str, ...]
    """What was left out, and why."""
    unread: tuple[str, ...] = ()
    """What of that may be a report that nobody has judged."""
    red: tuple[str, ...] = ()
    """Why the history is red, as its caller demands it (`--fail-on`, `--expect`)."""

    @property
    def overviews(self) -> dict[str, Overview]:
        """The overviews that exist, by the kind of router."""
        found = {"live router": self.live, "FAKE router": self.fake}
        return {name: overview for name, overview in found.items() if overview is not None}
