"""What a run did: frozen, plain data, written as `report.json`, and drawn by every other view.

An instance's points in time (`at`) are seconds since its `began`, which is a moment of the wall
clock.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Literal

from pydantic import Field

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._base.text import first_few, safe_line

from .parts import (
    BreachReport,
    CaseReport,
    CountReport,
    EventReport,
    ExchangeReport,
    FailureReport,
    Part,
    SpanReport,
    StatusReport,
    TokensReport,
    TurnReport,
)

SCHEMA_VERSION: Literal[3] = 3
"""The version of `report.json`; it changes if a field is removed or gets another meaning."""

NOT_ENDED, REFUSED = "did not end", "refused"
"""How the report of a run begins `ended` that has not come to its end, or never began."""
PREFLIGHT = "preflight"
"""How the reason of a refusal begins that is the router's: nothing else had begun by then."""
OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed", "xpassed", "interrupted")
"""Of tests, in the order in which they are counted."""
LEAKED = "may still run and cost money"
"""What is the matter with a leak."""
UNPROVED = "was not proved to be deleted"
"""The same where the bundled fake was the router."""
FAKE_ENDED = "The fake router ended with its run: there is nothing to delete"
"""What to do about such a leak."""


class InstanceReport(Part):
    """One instance's story at the end of the run; phase times in seconds."""

    id: str | None
    idempotency_key: str | None
    hostname: str | None
    spec: InstanceSpec | None
    outcome: str
    """`deleted`, `leaked`, `unsure` (it was requested, and no answer ever named it), `kept`,
    `refused` (by the router), `claimed` or `unused` (it was never requested) or `attached` (not
    this run's)."""
    run_id: str | None = None
    """The run that a sweep knows it by: a worker on another host is a run of its own."""
    leak: str | None
    """Why its deletion is not confirmed."""
    delete_with: str = ""
    """The command that deletes it, for the shell and the folder of the run, if it was kept, leaked
    or unsure."""
    attach_with: str = ""
    """The command that runs tests on it, likewise, if it was kept."""
    conflict: str | None = None
    """What should not have happened to it: it was gone before the run deleted it, or the router
    provisioned it and had refused to. The run is red then."""
    failed: bool
    """Whether a test that used it failed."""
    interrupted: str | None = None
    """The phase of its boot (`provision`, `row`, `ready`) that an interrupt ended early."""
    began: datetime | None
    """When the run first did something with it; None if it never did."""
    phases: dict[str, float]
    """The longest time that each phase took."""
    waits: dict[str, float] = Field({})
    """The longest time in a chat until its first text (`first_text`), and between two events
    (`gap`)."""
    tokens: TokensReport = TokensReport(input_tokens=0, output_tokens=0)
    """Of all its chats whose runtime reported them."""
    models: tuple[str, ...] = ()
    """Those that its chats named, in their order; of many, the first 20."""
    untold: int = 0
    """How many chats did not report their tokens."""
    chats: int
    requests: dict[str, int]
    """How many requests each call made, with retries."""
    retries: int
    notes: tuple[str, ...]
    drift: tuple[str, ...]
    """What the router said that its contract does not know."""
    statuses: tuple[StatusReport, ...]
    spans: tuple[SpanReport, ...]
    exchanges: tuple[ExchangeReport, ...]
    """The requests, in order; if there were very many, the newest."""
    turns: tuple[TurnReport, ...]
    usage: tuple[CountReport, ...]
    failures: tuple[FailureReport, ...]
    tests: tuple[str, ...] = ()
    """The tests that used it, in the order in which they were first reported."""

    @property
    def leak_words(self) -> str:
        """Why its deletion is not confirmed, without the command, which is `delete_with`."""
        return self.without_command(self.leak or "its deletion was not confirmed")

    def without_command(self, words: str) -> str:
        """Return a failure's words without the command that deletes it, `delete_with`."""
        command = f"\n  next step: {self.delete_with}"
        return words.replace(command, "") if self.delete_with else words

    @property
    def reference(self) -> str | None:
        """What tests name it by: its key, or the id of one that has none."""
        return self.idempotency_key or self.id

    @property
    def answer(self) -> str:
        """The answer to the last request to provision it."""
        asked = [it for it in self.exchanges if it.call == "provision"]
        last = asked[-1] if asked else None
        if last is None or (last.error is None and last.status is None):
            return "no answer is known"
        return last.error or f"answered with {last.status}"

    @property
    def name(self) -> str:
        """Id and key, if there are any."""
        key = f"(key {self.idempotency_key})" if self.idempotency_key else "(attached)"
        return f"{self.id or 'no id'} {key}"


class PipelineReport(Part):
    """The pipeline run that a run belongs to; names come from the pipeline, and are cut."""

    group: str
    """What all runs of a pipeline run share: its shards, the jobs of its matrix, its attempts."""
    job: str | None = None
    """None on Jenkins, and outside of a pipeline."""
    attempt: int | None = None
    """A higher number came later: GitHub's attempt, GitLab's number of the job."""
    commit: str | None = None
    branch: str | None = None
    url: str | None = None
    """Where the pipeline run is shown: http or https."""


@public
class Report(Part):
    """What a run did; `pytest_hydra_smoke_report` gets it once, at the end."""

    schema_version: Literal[3] = SCHEMA_VERSION
    run_id: str
    fake: bool
    """True if the run used the bundled fake router."""
    replaying: str | None = None
    """What the fake replayed, such as `replaying 12 recordings of 2026-11-26`."""
    agent: str | None = None
    """Where the real agent is before which the fake stood."""
    url: str
    began: datetime
    seconds: float
    pipeline: PipelineReport | None = None
    """The pipeline run that it belongs to."""
    trace_id: str | None = None
    """The trace that its requests belong to, as 32 hexadecimal digits."""
    trace_url: str | None = None
    """Where that is shown."""
    exit_code: int
    """pytest's exit code. If another plugin changes it later, `report.json` has the later one, and
    the hook `pytest_hydra_smoke_report` got the earlier one."""
    ended: str | None = None
    """What ended the run before its tests were over: `signal`, `interrupt`, `pytest.exit`,
    `stopped`, `collection errors`, `usage error`, `internal error`, or `refused` (before its first
    test), then a colon and its words, if there are any; None if nothing did. `did not end` is in
    the report of a run that goes on, or was killed: it is there from the run's start."""
    instances: tuple[InstanceReport, ...]
    tests: tuple[CaseReport, ...] = ()
    """The smoke tests, in the order in which they were first reported."""
    not_run: int = 0
    """How many more were selected, and had not begun when the run ended."""
    budgets: dict[str, float] = Field({})
    """The limits that were set."""
    breaches: tuple[BreachReport, ...] = ()
    events: tuple[EventReport, ...] = ()
    """The forms of the events that agents sent."""
    drift: tuple[str, ...] = ()
    """What the contract does not know, in any answer."""

    @property
    def fake_words(self) -> str:
        """What the bundled fake router is called, in a run against it."""
        if self.agent is not None:
            return f"FAKE router before the agent at {self.agent}"
        return "FAKE router" if self.replaying is None else f"FAKE router, {self.replaying}"

    def count(self, outcome: str) -> int:
        """Count the instances with an outcome."""
        return sum(instance.outcome == outcome for instance in self.instances)

    @property
    def counts(self) -> dict[str, int]:
        """How many instances were provisioned, and what became of those that were requested."""
        outcomes = ("deleted", "kept", "leaked", "unsure")
        return {"provisioned": self.provisioned, **{it: self.count(it) for it in outcomes}}

    @property
    def counted(self) -> str:
        """The counts, in words."""
        return ", ".join(f"{name} {number}" for name, number in self.counts.items())

    @property
    def unsure(self) -> str | None:
        """Which instances no answer ever named, with the answers to their requests; None if none.

        The line ends with the commands that look for them.
        """
        asked = [it for it in self.instances if it.outcome == "unsure"]
        if not asked:
            return None
        answers: dict[str, list[str]] = {}
        for it in asked:
            key = safe_line(str(it.idempotency_key), 60)  # A test may have chosen it.
            answers.setdefault(safe_line(it.answer), []).append(key)
        told = "; ".join(f"{first_few(keys)} ({answer})" for answer, keys in answers.items())
        sweeps = dict.fromkeys(it.delete_with for it in asked if it.delete_with)
        later = f". To look for them: {'; '.join(sweeps)}" if sweeps else ""
        return f"unsure {len(asked)}: requested, and no answer ever named them: {told}{later}"

    @property
    def tests_words(self) -> str | None:
        """How many smoke tests there were of each outcome; None where there were none."""
        counts = Counter(test.outcome for test in self.tests)
        told = [
            f"{counts[name]} {name}{'s' if name == 'error' and counts[name] > 1 else ''}"
            for name in OUTCOMES
            if name in counts
        ]
        told += [f"{self.not_run} not run"] if self.not_run else []
        return ", ".join(told) or None

    @property
    def reasons(self) -> dict[str, int]:
        """Why smoke tests were skipped for the failure of another, and how many were."""
        return Counter(test.not_run for test in self.tests if test.not_run is not None)

    @property
    def other_failures(self) -> list[CaseReport]:
        """The smoke tests whose failure is no instance's."""
        told = {failure.test for it in self.instances for failure in it.failures}
        red = ("failed", "error")
        return [test for test in self.tests if test.outcome in red and test.id not in told]

    @property
    def interrupted_in(self) -> str | None:
        """The smoke tests that began and have no outcome, the first few of many; None if none."""
        return first_few([test.id for test in self.tests if test.outcome == "interrupted"]) or None

    @property
    def is_unfinished(self) -> bool:
        """Whether a smoke test has not come to its end."""
        return self.not_run > 0 or self.interrupted_in is not None

    def verdict_of(self, it: InstanceReport) -> str:
        """Return the worst that is true of an instance, as a word; `ok` where nothing is wrong."""
        if it.outcome == "leaked":
            return "leaked"
        if it.failed:
            return "failed"
        if it.outcome == "unsure":
            return "unsure"
        if it.conflict is not None:
            return "conflict"
        cut = any(case.outcome == "interrupted" and case.id in it.tests for case in self.tests)
        if it.interrupted or cut:
            return "interrupted"
        slow = any(breach.instance == it.name for breach in self.breaches)
        return "over budget" if slow else "ok"

    @property
    def provisioned(self) -> int:
        """How many instances this run provisioned: those that an answer named."""
        return self.count("deleted") + self.count("kept") + self.count("leaked")
