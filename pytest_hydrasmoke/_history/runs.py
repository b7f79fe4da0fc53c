"""What is kept of a run: little, since there may be thousands of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

PASSED = frozenset({"passed", "xfailed", "xpassed"})
FAILED = frozenset({"failed", "error"})


class Spec(NamedTuple):
    """What an agent was made of, and where."""

    region: str
    tier: str
    manifest: str
    router: str
    """Its URL; empty for the fake, which has a port of its own in each run."""


@dataclass(frozen=True, slots=True)
class Boot:
    """One instance: of what spec, and what became of it."""

    spec: Spec
    ready: float | None
    """Seconds from provision to ready; None where it never was."""
    lost: bool
    """Whether a phase before ready failed."""
    providers: tuple[str, ...]
    """Of its LLM events."""
    llm_events: int
    input_tokens: int
    output_tokens: int
    untold: int
    """How many chats did not tell their tokens."""


@dataclass(frozen=True, slots=True)
class Leak:
    """An instance whose deletion was not confirmed."""

    key: str | None
    id: str | None
    run_id: str


@dataclass(frozen=True, slots=True)
class Case:
    """What became of a test in one run."""

    test: str
    specs: frozenset[Spec]
    """Of the instances that it used; of all in its run where it had none."""
    outcome: str
    runs: int
    """How often its body was run, where it is run several times; else 0."""
    passed: int
    words: str | None
    """The first line of its failure."""
    cured: bool = False
    """Whether it failed first, and passed when a plugin ran it again."""


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
    """The seconds of a phase, each time that an instance of a spec went through it."""
    leaks: tuple[Leak, ...]
    cases: tuple[Case, ...]

    @property
    def tests(self) -> frozenset[str]:
        return frozenset(case.test for case in self.cases)

    @property
    def specs(self) -> frozenset[Spec]:
        return frozenset(boot.spec for boot in self.boots)
