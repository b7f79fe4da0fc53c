"""The history as plain data: what `--json` writes, and what every view of it is drawn from.

A group is named by its place in `groups`, which are in the order in which they began: the last one
is the one that is judged.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

from pytest_hydrasmoke._report.model import NOT_ENDED, REFUSED
from pytest_hydrasmoke._report.parts import Part

from .groups import Outcome
from .runs import Spec
from .statistics import SECONDS

SCHEMA_VERSION: Literal[1] = 1
_KINDS = re.compile(
    rf"signal: [A-Z]+|(deadline|{NOT_ENDED}|{REFUSED}|collection errors|internal error|interrupt"
    r"|pytest\.exit|stopped|usage error)(?=:|$)"
)
"""The kinds of endings that have words of their own."""


class FailedRun(Part):
    """A run that ended red, and that no later attempt has repeated."""

    run_id: str
    exit_code: int
    ended: str | None
    """What ended it before its tests were over."""
    not_run: int
    """How many of its tests it had not begun; 0 if its report does not say it."""
    tests: tuple[str, ...]
    """Those that failed in it."""


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
    told_again: int
    """Those that a later attempt has repeated."""
    failed: tuple[FailedRun, ...]
    tests_passed: int
    tests_failed: int
    leaks: int
    input_tokens: int
    output_tokens: int
    ready: float | None
    """Seconds of the phase `ready`: the median of the spec that took longest; None if no agent was
    ready."""

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def ended(self) -> str:
        """Its outcome, and what kinds of endings its failed runs had, if they were no own ones."""
        endings = (_KINDS.match(run.ended or "") for run in self.failed)
        kinds = ", ".join(dict.fromkeys(ending[0] for ending in endings if ending))
        return f"{self.outcome} ({kinds})" if kinds else self.outcome


class Point(Part):
    """A phase in one group, over all the times that an instance went through it; seconds."""

    group: int
    count: int
    median: float
    slowest: float


class Change(Part):
    """The newest group's median of a phase, beside the groups before it; seconds."""

    now: float
    before: float
    """The median of the medians of the groups that it is compared with."""
    groups: int
    """How many these are: up to 20 that were green, and not slow; if none was, the one before."""
    limit: float | None
    """What would be slower than usual; None where fewer than 10 groups were green: no baseline."""
    since: int | None
    """The first of the groups in a row, up to the newest, that were slower than usual; None where
    the newest is not."""
    models: tuple[str, str] | None = None
    """The models that answered before that group and in it, where they are others."""

    @property
    def change(self) -> str | None:
        """How much slower or faster it is; None where that is negligible."""
        if not self.before or abs(self.now - self.before) <= SECONDS:
            return None
        ratio = self.now / self.before
        # Percents in the thousands are hard to read.
        return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio - 1:+.0%}"


class PhaseFigures(Part):
    """A phase of the instances of one spec, by group."""

    phase: str
    spec: Spec
    budget: float | None
    """The budget of the newest group that has one; seconds."""
    points: tuple[Point, ...]
    change: Change | None
    """None if the newest group did not go through it, or no earlier group did."""


class TestFigures(Part):
    """A test over all runs, repeated ones included."""

    test: str
    passed: int
    failed: int
    flaky_on: tuple[str, ...]
    """The commits on which it has both passed and failed, with instances of the same specs."""
    runs: int
    """How often its body was run, under the marker `hydra_smoke_runs`."""
    runs_passed: int
    last_failed: int | None
    """The newest group in which it failed."""
    words: str | None
    """The first line of its last failure with a message."""

    @property
    def flaky(self) -> int:
        """On how many commits it was flaky."""
        return len(self.flaky_on)


class CellFigures(Part):
    """The instances of one spec that were to boot."""

    spec: Spec
    instances: int
    ready: int
    """How many of them got ready."""
    models: str | None = None
    """Those that answered in the newest group that names any."""


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
    tests: tuple[TestFigures, ...]
    """The flaky ones first, then those that failed most often."""
    cells: tuple[CellFigures, ...]
    leaks: tuple[LeakFigures, ...]

    @property
    def noun(self) -> str:
        """What its groups are called: they are runs where each has one."""
        return "runs" if all(it.runs + it.told_again == 1 for it in self.groups) else "groups"


class History(Part):
    """What `hydra-smoke history` has found; live runs and those of the fake are never mixed."""

    schema_version: Literal[1] = SCHEMA_VERSION
    live: Overview | None
    fake: Overview | None
    """None unless it was asked for."""
    misdated: tuple[Overview, ...] = ()
    """Groups whose runs had a wrong clock, each alone: they have no place among the others."""
    skipped: tuple[str, ...]
    """What was left out, and why."""
    unread: tuple[str, ...] = ()
    """What of that may be a report that nobody has judged."""

    @property
    def overviews(self) -> dict[str, Overview]:
        """The overviews that exist, by the kind of router."""
        found = {"live router": self.live, "FAKE router": self.fake}
        return {name: overview for name, overview in found.items() if overview is not None}
