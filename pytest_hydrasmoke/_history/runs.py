"""What the history keeps of a run: little, since there may be thousands of runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from pytest_hydrasmoke._report.model import NOT_ENDED

PASSED = frozenset({"passed", "xfailed", "xpassed"})
FAILED = frozenset({"failed", "error"})
ENDINGS: Mapping[int, str] = {
    2: "interrupt",
    3: "internal error",
    4: "usage error",
    5: "nothing collected",
    129: "signal: HUP",
    130: "signal: INT",
    143: "signal: TERM",
    149: "signal: BREAK",
}
"""What ended a run, by the exit code, if its report does not say it: that of an older release."""


class Spec(NamedTuple):
    """An agent's spec and router."""

    region: str
    tier: str
    manifest: str
    router: str
    """The router's URL; empty for the fake, whose port differs in each run."""


@dataclass(frozen=True, slots=True)
class Boot:
    """One instance: its spec and its outcome."""

    spec: Spec
    ready: float | None
    """Seconds from provision to ready; None if it never was ready."""
    lost: bool
    """Whether a phase before ready failed."""
    providers: tuple[str, ...]
    """Providers of its LLM events."""
    llm_events: int
    input_tokens: int
    output_tokens: int
    untold: int
    """How many chats had no usage."""


@dataclass(frozen=True, slots=True)
class Leak:
    """An instance whose deletion was not confirmed."""

    key: str | None
    id: str | None
    run_id: str


@dataclass(frozen=True, slots=True)
class Case:
    """A test's outcome in one run."""

    test: str
    specs: frozenset[Spec]
    """Specs of its instances; of all in its run if it used none."""
    outcome: str
    runs: int
    """How often its body was run, with the marker `hydra_smoke_runs`; else 0."""
    passed: int
    words: str | None
    """The first line of its failure."""
    cured: bool = False
    """Whether it failed first, and passed when it was run again."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run, as far as the history needs it."""

    run_id: str
    fake: bool
    began: datetime
    exit_code: int
    group: str
    job: str | None
    attempt: int | None
    commit: str | None
    branch: str | None
    url: str | None
    budgets: dict[str, float]
    boots: tuple[Boot, ...]
    times: dict[tuple[str, Spec], tuple[float, ...]]
    """The seconds of a phase, for each time that an instance of a spec went through it."""
    leaks: tuple[Leak, ...]
    cases: tuple[Case, ...]
    ended: str | None = None
    """What ended it early, as its report says, or as its exit code does."""
    not_run: int = 0
    """How many of its tests it had not begun."""

    @property
    def is_red(self) -> bool:
        """Whether anything in its report is red: another plugin may have set the exit code."""
        failed = any(case.outcome == "failed" for case in self.cases)
        unfinished = self.not_run > 0 or self.ended == NOT_ENDED
        return self.exit_code != 0 or failed or unfinished or bool(self.leaks)

    @property
    def tests(self) -> frozenset[str]:
        return frozenset(case.test for case in self.cases)

    @property
    def specs(self) -> frozenset[Spec]:
        return frozenset(boot.spec for boot in self.boots)


def worse(one: Run, other: Run) -> Run:
    """Return what two reports tell of one run: the red one, with the leaks of both."""
    red = max(one, other, key=lambda run: (run.is_red, run.exit_code != 0, len(run.leaks)))
    return replace(red, leaks=tuple(dict.fromkeys((*one.leaks, *other.leaks))))
