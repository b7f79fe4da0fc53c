"""What happened when. Every report is drawn from it; nothing here decides anything.

While a run lasts, each instance has an `InstanceRecord` that the lifecycle writes to. At the end
the records become a `Report`: frozen, plain, and able to travel from a worker to its controller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from ._models import InstanceSpec
from ._redact import safe_line

if TYPE_CHECKING:
    from ._calls import Attempt
    from ._wire import CallName

PHASES = ("provision", "row", "ready", "first_event", "turn", "llm_events", "delete")


class State(StrEnum):
    """What is known of an instance: facts, in the order in which they become known."""

    CLAIMED = "claimed"
    """It has a key; nothing was sent."""
    REQUESTED = "requested"
    """The request may have left: from here on there may be a server."""
    ACCEPTED = "accepted"
    CREATED = "created"
    READY = "ready"
    FAILED = "failed"
    """The router says that it failed; its row is still to be deleted."""
    REFUSED = "refused"
    """The router would not take the request: there is no server."""
    ABSENT = "absent"
    """The router knows no such key after all, however long it was asked."""
    DELETING = "deleting"
    """The router took the request to delete it."""
    DELETED = "deleted"
    """The router confirmed that it is gone."""
    KEPT = "kept"
    """It was left on purpose (`keep`)."""


HAS_ROW = frozenset({State.CREATED, State.READY, State.FAILED, State.DELETING, State.KEPT})
"""States in which the router had a row for it: from then on, "not found" means gone."""
NOTHING_LEFT = frozenset({State.CLAIMED, State.REFUSED, State.ABSENT, State.DELETED})
SETTLED = NOTHING_LEFT | {State.KEPT}
"""States in which the run has nothing more to do for an instance."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The LLM events counted just before a turn, or why they could not be."""

    at: float
    count: int = 0
    providers: frozenset[str] = frozenset()
    error: str | None = None


@dataclass
class InstanceRecord:
    """One instance's story, as an `Observer` of its calls; seconds everywhere."""

    spec: InstanceSpec | None
    """None for an instance that somebody else provisioned."""
    key: str | None
    id: str | None = None
    hostname: str | None = None
    state: State = State.CLAIMED
    born: float | None = None
    """When it was requested, on the IO's clock; None if it may be older than the run."""
    statuses: list[str] = field(default_factory=list[str])
    """The status words seen, each once in a row."""
    phases: dict[str, float] = field(default_factory=dict[str, float])
    """The longest time that each phase took."""
    baselines: list[Baseline] = field(default_factory=list[Baseline])
    """One for each chat turn, in their order."""
    requests: Counter[str] = field(default_factory=Counter[str])
    retries: int = 0
    unknown_outcomes: int = 0
    """Attempts to provision that may have been carried out although no answer says so."""
    notes: list[str] = field(default_factory=list[str])
    leak: str | None = None
    """Why its deletion is not confirmed, once the run has given up on it."""
    failed: bool = False
    """Whether a test that used it failed, in set-up, call or teardown."""
    joint: bool = False
    """Whether all workers share it: the main process deletes it then."""
    on_state: Callable[[InstanceRecord], None] = field(default=lambda record: None, repr=False)
    """Told of every change of the state, before the step after it."""
    permit: Callable[[], None] = field(default=lambda: None, repr=False)
    """Asked before a provision or a chat; raises where the run must not go on."""

    @property
    def attached(self) -> bool:
        return self.key is None

    @property
    def run_id(self) -> str | None:
        """The run that its key names."""
        return run_of(self.key)

    @property
    def last_state(self) -> str | None:
        """The last status word, for a person."""
        return safe_line(f"status {self.statuses[-1]!r}") if self.statuses else None

    @property
    def name(self) -> str:
        """Id and key, as far as there are any."""
        return " ".join(
            part for part in (self.id, self.key and f"(key {self.key})") if part is not None
        )

    def becomes(self, state: State) -> None:
        self.state = state
        self.on_state(self)

    def saw_status(self, word: str) -> None:
        if self.statuses[-1:] != [word]:
            self.statuses.append(word)

    def saw_attempt(self, attempt: Attempt) -> None:
        self.requests[attempt.call] += 1
        if attempt.number > 1:
            self.retries += 1
        if attempt.call == "provision" and attempt.outcome_unknown:
            self.unknown_outcomes += 1

    def saw_unknown_fields(self, call: CallName, names: tuple[str, ...]) -> None:
        self.note(f"unknown in the answer to {call}: {', '.join(names)}")

    def took(self, phase: str, seconds: float) -> None:
        self.phases[phase] = max(seconds, self.phases.get(phase, 0.0))

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def run_of(key: str | None) -> str | None:
    """Give the run id in a key `<run_id>-<slot>`."""
    return None if key is None else key.rpartition("-")[0]


class InstanceReport(BaseModel):
    """One instance's story at the end of the run; phase times in seconds."""

    model_config = ConfigDict(frozen=True)

    id: str | None
    idempotency_key: str | None
    hostname: str | None
    spec: InstanceSpec | None
    outcome: str
    """`deleted`, `leaked`, `kept`, `absent` (never had a row) or `attached` (not this run's);
    from a worker also `shared`: it is the main process's to delete."""
    statuses: tuple[str, ...]
    phases: dict[str, float]
    chats: int
    requests: dict[str, int]
    retries: int
    notes: tuple[str, ...]
    leak: str | None
    failed: bool
    """Whether a test that used it failed."""

    @property
    def run_id(self) -> str | None:
        """The run that its key names: on another host a worker is one of its own."""
        return run_of(self.idempotency_key)


class Report(BaseModel):
    """What a run did: given to `pytest_hydra_smoke_report` once, at its end."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    fake: bool
    """True if the run drove the bundled fake router."""
    url: str
    instances: tuple[InstanceReport, ...]

    def count(self, outcome: str) -> int:
        """Count the instances with an outcome."""
        return sum(instance.outcome == outcome for instance in self.instances)

    @property
    def provisioned(self) -> int:
        """How many instances there were that this run had asked for."""
        return self.count("deleted") + self.count("kept") + self.count("leaked")


def report_of(record: InstanceRecord) -> InstanceReport:
    """Freeze a record."""
    if record.attached:
        outcome = "attached"
    elif record.state in SETTLED:
        outcome = record.state.value
    elif record.joint and record.leak is None:
        outcome = "shared"
    else:
        outcome = "leaked"
    return InstanceReport(
        id=record.id,
        idempotency_key=record.key,
        hostname=record.hostname,
        spec=record.spec,
        outcome=outcome,
        statuses=tuple(record.statuses),
        phases=dict(record.phases),
        chats=len(record.baselines),
        requests=dict(record.requests),
        retries=record.retries,
        notes=tuple(record.notes),
        leak=record.leak,
        failed=record.failed,
    )


def merged(reports: Iterable[InstanceReport]) -> list[InstanceReport]:
    """Make one story of what several processes tell of each instance; the last one is believed.

    The last of the run is its main process, which sees every instance deleted.
    """
    stories: dict[object, InstanceReport] = {}
    for number, report in enumerate(reports):
        # Of an attached instance there is no key, and nothing to tell but that it was used.
        name = report.idempotency_key or report.id or number
        before = stories.get(name)
        stories[name] = report if before is None else _both(before, report)
    return [_judged(report) for report in stories.values()]


def _judged(report: InstanceReport) -> InstanceReport:
    if report.outcome != "shared":
        return report
    return report.model_copy(update={"outcome": "leaked", "leak": "nobody has seen it deleted"})


def _both(one: InstanceReport, two: InstanceReport) -> InstanceReport:
    last = one if two.outcome == "shared" else two
    phases = Counter(one.phases) | Counter(two.phases)
    return InstanceReport(
        id=two.id or one.id,
        idempotency_key=two.idempotency_key,
        hostname=two.hostname or one.hostname,
        spec=two.spec or one.spec,
        outcome=last.outcome,
        statuses=max(one.statuses, two.statuses, key=len),
        phases=dict(phases),
        chats=one.chats + two.chats,
        requests=dict(Counter(one.requests) + Counter(two.requests)),
        retries=one.retries + two.retries,
        notes=tuple(dict.fromkeys(one.notes + two.notes)),
        leak=last.leak,
        failed=one.failed or two.failed,
    )
