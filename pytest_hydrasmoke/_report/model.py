"""What a run did, as it is handed on: frozen, plain, and the same in every view of it.

The records of the timeline become reports, which travel from a worker to its main process, are
written as `report.json`, and are what every other view is drawn from. An instance's points in
time (`at`) are seconds since its `began`, which is a moment of the wall clock.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._base.run_keys import run_of
from pytest_hydrasmoke._core.moments import PLAIN, Exchange, Moment, Span, UsageCount
from pytest_hydrasmoke._core.record import TOKENS

SCHEMA_VERSION: Literal[2] = 2
"""Of `report.json`; another number where something has another meaning than before."""


class _Part(BaseModel):
    model_config = PLAIN


class StatusReport(Moment):
    """A status word, when it was first seen in a row of the same."""

    word: str


class ToolCallReport(_Part):
    """A tool that the agent called."""

    name: str
    id: str | None
    arguments: str | None
    """As JSON, up to 2,000 characters; None where they are not known."""
    result: str | None
    """The same of what the tool gave back, or a text as it is; None where it is not told."""
    at: float
    """Seconds since the turn's request left."""
    position: int
    """How many characters of the reply came before it."""


class ThoughtReport(_Part):
    """What the model thought between two other things that it said or did."""

    text: str
    at: float
    """Seconds since the turn's request left."""
    position: int
    """How many characters of the reply came before it."""


class TokensReport(_Part):
    """Tokens that were read and written."""

    input_tokens: int
    output_tokens: int

    @property
    def total(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: TokensReport) -> TokensReport:
        return TokensReport(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
        )


class TurnReport(Moment):
    """A chat turn; times in seconds since its request left."""

    message: str | None
    """None where replies are kept out of reports."""
    text: str | None
    """The reply, up to 20,000 characters; None where replies are kept out of reports."""
    events: int
    arrivals: tuple[float, ...]
    """When events arrived: all of them, or an even choice of a long stream's."""
    seconds: float | None
    """Until its last event; None if there was none."""
    first_text_after: float | None = None
    """Seconds to the first text; None if there was none."""
    max_gap: float = 0.0
    """Seconds of the longest silence between two events."""
    complete: bool
    """Whether a terminal event came, or a finish reason and then the end of the stream."""
    finish_reason: str | None = None
    """Why the model stopped, in the runtime's own word; None where it was not told, or where
    replies are kept out of reports."""
    tool_calls: tuple[ToolCallReport, ...] = ()
    """The first 200, with up to 20,000 characters of arguments and results; none where replies are
    kept out of reports."""
    thoughts: tuple[ThoughtReport, ...] = ()
    """What the model thought, up to 20,000 characters; none where replies are kept out of
    reports."""
    usage: TokensReport | None = None
    """None where the runtime did not tell its tokens."""
    notes: tuple[str, ...] = ()
    """What is odd about it; none where replies are kept out of reports."""
    error: str | None
    test: str | None = None
    """The test that was run when it began, set-up and teardown included; None outside of any."""


class FailureReport(Moment):
    """What went wrong, in a phase or in a test."""

    message: str
    phase: str | None
    test: str | None
    """The test that failed of it; None where a deletion failed at the end of the run."""
    cured: bool = False
    """Whether that test passed when it was run again."""


class InstanceReport(_Part):
    """One instance's story at the end of the run; phase times in seconds."""

    id: str | None
    idempotency_key: str | None
    hostname: str | None
    spec: InstanceSpec | None
    outcome: str
    """`deleted`, `leaked`, `kept`, `absent` (a sweep has found that it never had a row) or
    `attached` (not this run's); from a worker also `shared`: it is the main process's to delete."""
    leak: str | None
    """Why its deletion is not confirmed."""
    conflict: str | None = None
    """What shows that another run has a hand in it: it uses the same run id."""
    failed: bool
    """Whether a test that used it failed."""
    interrupted: str | None = None
    """The phase of its boot (`provision`, `row`, `ready`) that an interrupt broke off."""
    began: datetime | None
    """When the run first had to do with it; None if it never had."""
    phases: dict[str, float]
    """The longest time that each phase took."""
    waits: dict[str, float] = {}
    """The longest time in a chat until its first text (`first_text`), and between two events
    (`gap`)."""
    tokens: TokensReport = TokensReport(input_tokens=0, output_tokens=0)
    """Of all its chats that told theirs."""
    untold: int = 0
    """How many chats did not tell their tokens."""
    chats: int
    requests: dict[str, int]
    """How many there were of each call, retries included."""
    retries: int
    notes: tuple[str, ...]
    drift: tuple[str, ...]
    """What the router said that its contract does not know."""
    statuses: tuple[StatusReport, ...]
    spans: tuple[Span, ...]
    exchanges: tuple[Exchange, ...]
    """The requests, in their order; the newest ones where there were very many."""
    turns: tuple[TurnReport, ...]
    usage: tuple[UsageCount, ...]
    failures: tuple[FailureReport, ...]
    tests: tuple[str, ...] = ()
    """The tests that used it, in the order in which they were first reported."""

    @property
    def reference(self) -> str | None:
        """What tests name it by: its key, or the id of one that has none."""
        return self.idempotency_key or self.id

    @property
    def run_id(self) -> str | None:
        """The run that its key names: on another host a worker is one of its own."""
        return run_of(self.idempotency_key)

    @property
    def name(self) -> str:
        """Id and key, as far as there are any."""
        key = f"(key {self.idempotency_key})" if self.idempotency_key else "(attached)"
        return f"{self.id or 'no id'} {key}"


class CaseReport(_Part):
    """What became of a smoke test."""

    id: str
    """Its node id."""
    outcome: str
    """`passed`, `failed`, `error` (its set-up or teardown failed), `skipped`, `xfailed`, `xpassed`,
    or `interrupted` (it was begun, and has no outcome)."""
    seconds: float
    """Set-up, call and teardown, of all attempts where it was run again."""
    runs: int | None = None
    """How often its body was run under the marker `hydra_smoke_runs`; None without that."""
    passed: int | None = None
    """How many of these runs passed."""
    instances: tuple[str, ...] = ()
    """Those that it used, by key, or by id where they have none."""


class AnswerReport(_Part):
    """The form of a call's answer: no value of it."""

    call: str
    code: int
    fields: dict[str, str]
    """What kind of value each had: null, boolean, string, number, list, object."""


class EventReport(_Part):
    """The form of a stream's event: no word of the reply."""

    event: str
    data: str
    """`done` (`[DONE]`), `object` or `text`."""
    keys: tuple[str, ...]
    """Of an object, at its top."""
    kind: str | None
    """An object's `type`, where that is a word."""


class Manners(_Part):
    """How the router answered where its contract leaves it open: forms, and no values."""

    answers: tuple[AnswerReport, ...] = ()
    events: tuple[EventReport, ...] = ()
    drift: tuple[str, ...] = ()
    """What it said that the contract does not know: in any call, of any instance or of none."""


class BreachReport(_Part):
    """A budget that was not kept; seconds, or a number of tokens."""

    phase: str
    """A phase, or `first_text`, `gap` or `tokens`."""
    limit: float
    value: float
    instance: str
    """Id and key of where it was seen, at its worst; of tokens, where most of them were taken."""
    test: str | None = None
    """The test of the turn that was the worst, of `first_text` and `gap`; None where that is not
    known."""

    @property
    def place(self) -> str:
        """The instance, and the test if it is known."""
        return self.instance if self.test is None else f"{self.instance}, in {self.test}"

    @property
    def words(self) -> str:
        """By how much it was not kept."""
        if self.phase == TOKENS:
            return f"the run took {self.value:,.0f} tokens, and may take {self.limit:,g}"
        # Of what took less than a second the tenths alone would say nothing.
        value = f"{self.value:.1f}" if self.value >= 1 else f"{self.value:.3f}"
        return f"{self.phase} took {value} s, and may take {self.limit:g} s"


class ProcessReport(_Part):
    """What one of the run's processes has to tell."""

    instances: tuple[InstanceReport, ...] = ()
    manners: Manners = Manners()


class PipelineReport(_Part):
    """The pipeline run that a run belongs to; names are the pipeline's, and bounded."""

    group: str
    """What runs of one pipeline share: its shards, the cells of its matrix, its attempts."""
    job: str | None = None
    """None on Jenkins, and outside of a pipeline."""
    attempt: int | None = None
    """A higher one has come later: GitHub's attempt, GitLab's number of the job."""
    commit: str | None = None
    branch: str | None = None
    url: str | None = None
    """Where the pipeline run is shown: http or https."""


@public
class Report(_Part):
    """What a run did: given to `pytest_hydra_smoke_report` once, at its end."""

    schema_version: Literal[2] = SCHEMA_VERSION
    run_id: str
    fake: bool
    """True if the run drove the bundled fake router."""
    replaying: str | None = None
    """What that replayed, such as `replaying 12 recordings of 2026-11-26`."""
    url: str
    began: datetime
    seconds: float
    pipeline: PipelineReport | None = None
    """The pipeline run that it belongs to; None in reports of releases that knew of none."""
    exit_code: int
    """pytest's, as this plugin leaves it; what other plugins make of it later is not in it."""
    instances: tuple[InstanceReport, ...]
    tests: tuple[CaseReport, ...] = ()
    """The smoke tests, in the order in which they were first reported."""
    budgets: dict[str, float] = {}
    """What could be taken at most."""
    breaches: tuple[BreachReport, ...] = ()
    manners: Manners = Manners()

    @property
    def fake_words(self) -> str:
        """What the bundled fake router is called, in a run against it."""
        return "FAKE router" if self.replaying is None else f"FAKE router, {self.replaying}"

    def count(self, outcome: str) -> int:
        """Count the instances with an outcome."""
        return sum(instance.outcome == outcome for instance in self.instances)

    @property
    def provisioned(self) -> int:
        """How many instances there were that this run had asked for."""
        return self.count("deleted") + self.count("kept") + self.count("leaked")
