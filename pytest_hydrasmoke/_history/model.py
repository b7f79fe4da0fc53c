"""The history as plain data: what `--json` writes, and what every view of it is drawn from.

A group is named by its place in `groups`, which are in the order in which they began: the last one
is the one that is judged.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from pytest_hydrasmoke._report.model import NOT_ENDED, REFUSED
from pytest_hydrasmoke._report.moments import PLAIN

from .runs import ENDINGS, Spec

SCHEMA_VERSION: Literal[1] = 1
KINDS = frozenset(
    {
        NOT_ENDED,
        REFUSED,
        "collection errors",
        "internal error",
        "interrupt",
        "pytest.exit",
        "signal",
        "stopped",
        "usage error",
    }
)
"""The kinds of endings that have words of their own."""


class _Part(BaseModel):
    model_config = PLAIN


class SpecFigures(_Part):
    """What agents were made of, and where."""

    region: str
    tier: str
    manifest: str
    router: str | None
    """The router's URL where the reports are of several; None where they are of one."""

    @classmethod
    def of(cls, spec: Spec, *, several: bool) -> SpecFigures:
        """Make the figures of a spec, of one or of several routers."""
        return cls(
            region=spec.region,
            tier=spec.tier,
            manifest=spec.manifest,
            router=spec.router if several else None,
        )

    @property
    def name(self) -> str:
        return " ".join(filter(None, (self.region, self.tier, self.manifest, self.router)))


class FailedRun(_Part):
    """A run that ended red, and that no later attempt has repeated."""

    run_id: str
    exit_code: int
    ended: str | None
    """What ended it before its tests were over, as far as its report or exit code says."""
    not_run: int
    """How many of its tests it had not begun; 0 if its report does not say it."""
    tests: tuple[str, ...]
    """Those that failed in it."""


def _kind(ended: str | None) -> str | None:
    """Return the kind of an ending; None for what is none."""
    if ended is None or ended in ENDINGS.values():
        return ended
    kind = ended.partition(":")[0]
    return kind if kind in KINDS else None


class GroupFigures(_Part):
    """The runs of one pipeline run."""

    name: str
    began: datetime
    commit: str | None
    branch: str | None
    url: str | None
    """Where the pipeline run is shown; http or https."""
    outcome: Literal["passed", "failed", "leaked"]
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

    @property
    def words(self) -> str:
        """Its outcome, and what kinds of endings its failed runs had, if they were no own ones."""
        endings = (_kind(run.ended) for run in self.failed)
        kinds = ", ".join(dict.fromkeys(filter(None, endings)))
        return f"{self.outcome} ({kinds})" if kinds else self.outcome


class Point(_Part):
    """A phase in one group, over all the times that an instance went through it; seconds."""

    group: int
    count: int
    median: float
    p95: float
    """By nearest rank: of fewer than 20 it is the slowest."""
    slowest: float


class Change(_Part):
    """The newest group's median of a phase, beside the groups before it; seconds."""

    now: float
    before: float
    """The median of the medians of the groups that it is compared with."""
    groups: int
    """How many these are: up to 20 green ones; where none was green, the one before."""
    limit: float | None
    """What would be slower than usual; None where fewer than 5 groups were green: no baseline."""
    since: int | None
    """The first of the groups in a row, up to the newest, that were slower than usual; None where
    the newest is not."""
    in_a_row: int
    """How many these are."""


class PhaseFigures(_Part):
    """A phase of the instances of one spec, by group."""

    phase: str
    spec: SpecFigures
    budget: float | None
    """The budget of the newest group that has one; seconds."""
    points: tuple[Point, ...]
    change: Change | None
    """None if the newest group did not go through it, or no earlier group did."""


class TestFigures(_Part):
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


class CellFigures(_Part):
    """The boots of one spec; seconds from provision to ready."""

    spec: SpecFigures
    instances: int
    ready: int
    """How many of them got ready."""
    median: float | None
    p95: float | None
    slowest: float | None


class ProviderFigures(_Part):
    """The usage of instances whose LLM events named exactly these providers."""

    providers: tuple[str, ...]
    instances: int
    llm_events: int
    input_tokens: int
    output_tokens: int
    untold: int
    """How many chats did not report their tokens."""


class LeakFigures(_Part):
    """An instance whose deletion was not confirmed."""

    group: int
    key: str | None
    id: str | None
    run_id: str


class Overview(_Part):
    """Runs of live routers, or of the fake."""

    fake: bool
    groups: tuple[GroupFigures, ...]
    phases: tuple[PhaseFigures, ...]
    tests: tuple[TestFigures, ...]
    """The flaky ones first, then those that failed most often."""
    cells: tuple[CellFigures, ...]
    providers: tuple[ProviderFigures, ...]
    leaks: tuple[LeakFigures, ...]


class History(_Part):
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
