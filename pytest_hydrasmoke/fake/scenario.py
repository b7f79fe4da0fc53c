"""How a fake router behaves: every answer that the contract leaves open.

A scenario is data: `state`, `sse_events` and `app` act on it. The
defaults are a simple router: quick, and with the simplest of the allowed answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from . import field_checks as validity
from .field_checks import choice, json_object, number, optional, seconds, text, words
from .public import public
from .recordings import Recordings
from .records import ROUTES, Json, Route
from .replies import replies

AgentDies = Literal["never", "error", "cut", "end", "stall"]
LineEnd = Literal["lf", "crlf", "cr"]
ProvidersListed = Literal["sorted", "seen", "repeated"]
Runtime = Literal[
    "openai",
    "hermes",
    "hermes-run",
    "hermes-session",
    "responses",
    "anthropic",
    "goose",
    "ag-ui",
    "ai-sdk",
    "objects",
    "named",
    "text",
]
StatusCase = Literal["as_written", "lower", "upper", "title", "mixed"]

ProvisionStatus = Literal[200, 201, 202]
InstanceIdIn = Literal["present", "null", "absent"]
SecondKey = Literal["same", "conflict"]
QuotaStatus = Literal[402, 403, 409, 429]
PollBeforeRow = Literal["found_false", "bare", "404"]
UnauthorizedStatus = Literal[401, 403]
NotReadyStatus = Literal[409, 425, 503]
AfterDelete = Literal["404", "row"]
SecondDelete = Literal[200, 404, 409, 410]
Trouble = Literal["none", "limited", "unavailable", "dropped", "lost"]
RetryAfter = Literal["none", "seconds", "date"]

REPEATABLE: tuple[Route, ...] = ("provision", "poll", "status", "llm_events", "delete")
"""The calls that a client may make again when an answer was lost."""


@public
@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One way for a router to keep its contract; raises ValueError for impossible values.

    All times are seconds of the fake's clock.
    """

    provision_status: ProvisionStatus = 200
    """Success code of provision."""
    provision_instance_id: InstanceIdIn = "present"
    """`instance_id` in provision's answer."""
    second_key: SecondKey = "same"
    """A known idempotency key with another body: the first answer again, or 409."""
    quota: int | None = None
    """How many instances may live at once; further provisions are refused."""
    quota_status: QuotaStatus = 403
    """Answer to a provision beyond the quota."""

    workers: int = 0
    """How many workers share the queue of tasks (provisions and clean-ups, in order); 0 for one
    worker for each task."""
    row_after: float = 0.02
    """From when a worker begins a provision until it inserts the row; `math.inf` for never."""
    poll_before_row: PollBeforeRow = "found_false"
    """What poll answers until then: `found` false with nulls, `found` false without other fields
    (`bare`), or 404."""

    statuses: tuple[tuple[float, str], ...] = (
        (0.0, "queued"),
        (0.05, "provisioning"),
        (0.1, "booting"),
        (0.15, "running"),
    )
    """The boot: pairs of seconds after the row appeared, and the status from then on. A boot that
    fails ends with a word for failure; a boot that hangs never reaches a ready word."""
    ready_words: tuple[str, ...] = ("running", "active", "ready", "online")
    """The words of `statuses` with which the agent accepts a chat."""
    status_case: StatusCase = "as_written"
    """Letter case of every status word in an answer."""
    early_hostname: bool = False
    """Whether the hostname is known before the boot ends; else it is null until then."""

    unauthorized_status: UnauthorizedStatus = 401
    """Answer to a missing or wrong token."""
    not_ready_status: NotReadyStatus = 409
    """Answer to a chat before the agent is ready."""

    after_delete: AfterDelete = "404"
    """What status and poll see of a deleted instance: nothing, or the row with `gone_word`."""
    second_delete: SecondDelete = 404
    """Answer to a second delete."""
    gone_word: str = "deleted"
    """Status in delete's answer, and afterwards."""
    cleanup_after: float = 0.05
    """From when a worker begins the provider's clean-up, a task that a delete queues, until it is
    done."""
    cleaned_word: str | None = None
    """Status once that is done; None if it stays `gone_word`."""

    runtime: Runtime = "openai"
    """The form of a chat's server-sent events: OpenAI's chunks, the same with Hermes' additions,
    Hermes' events of a run or of a session, OpenAI's Responses, Anthropic's messages, Goose's,
    AG-UI's, the AI SDK's UI message stream, and three simple forms that are no standard."""
    reply: str = "I am ready."
    """What the agent answers to a message that no entry of `replies` matches."""
    replies: Sequence[Mapping[str, object]] = field(default=(), hash=False)
    """What it answers to messages that match, and which tools it calls: a table for each."""
    terminal: bool = True
    """Whether a turn ends with the terminal events of its runtime."""
    keep_alive: bool = False
    """Whether a comment comes before every event."""
    line_end: LineEnd = "lf"
    """Line ends of the stream."""
    first_event_after: float = 0.0
    """From a chat's answer until its first event."""
    event_pause: float = 0.0
    """Between one event of a turn and the next."""
    agent_dies: AgentDies = "never"
    """How the agent fails in every turn: with its runtime's error event, with the connection cut,
    with an early end of the stream and no error (`end`), or with silence on a stream that stays
    open until the client leaves (`stall`)."""
    agent_dies_after: int = 3
    """Events that come before that."""

    recordings: Recordings | None = None
    """What the agent says, if the scenario is a folder of recordings. A message that is in none of
    them is then answered 501."""

    providers: tuple[str, ...] = ("anthropic",)
    """The providers of an instance's LLM events, one for each row, then from the first again."""
    providers_listed: ProvidersListed = "sorted"
    """`providers` in the answer: each once and sorted, each once as first seen, or one for each
    row."""
    llm_events_per_turn: int = 1
    """How many rows one turn leaves."""
    llm_events_lag: float = 0.2
    """From the end of a turn until its first row is written."""
    llm_events_gap: float = 0.0
    """From one row of a turn to the next."""

    trouble: Trouble = "none"
    """What happens to some requests: 429 (`limited`), 503 (`unavailable`), the connection closes
    before the request is read (`dropped`), or after it was carried out (`lost`)."""
    trouble_every: int = 2
    """Trouble hits the first of every so many requests of a call; 1 means every request."""
    trouble_calls: tuple[Route, ...] = REPEATABLE
    """The calls that trouble hits. Chat is not among them by default, because nobody can repeat a
    chat whose answer was lost."""
    retry_after: RetryAfter = "none"
    """`Retry-After` of such a 429 or 503: none, in seconds, or as a date."""
    retry_after_seconds: int = 1
    """How many seconds `Retry-After` is ahead."""

    extra: Mapping[str, Json] = field(default_factory=dict[str, Json], hash=False)
    """Fields added to every successful answer, as a newer router might add them."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        for name, check in _CHECKS.items():
            try:
                object.__setattr__(self, name, check(name, getattr(self, name)))
            except ValueError as problem:
                problems.append(str(problem))
        if not problems and self.llm_events_per_turn and not self.providers:
            problems.append("providers is empty, but a turn leaves LLM events: name one")
        if problems:
            raise ValueError("; ".join(problems))


def _recordings(name: str, value: object) -> object:
    if value is None or isinstance(value, Recordings):
        return value
    raise ValueError(f"{name} can't be set: give their folder as the scenario, or as a file's base")


def _reply(name: str, value: object) -> object:
    if isinstance(value, list | tuple):
        raise ValueError(f"{name} is a text, not a list (did you mean [[replies]]?)")
    return text(name, value)


_CHECKS: Mapping[str, validity.Check] = {
    "provision_status": choice(*get_args(ProvisionStatus)),
    "provision_instance_id": choice(*get_args(InstanceIdIn)),
    "second_key": choice(*get_args(SecondKey)),
    "quota": optional(number("instances")),
    "quota_status": choice(*get_args(QuotaStatus)),
    "workers": number("workers"),
    "row_after": seconds,
    "poll_before_row": choice(*get_args(PollBeforeRow)),
    "statuses": validity.script,
    "ready_words": words,
    "status_case": choice(*get_args(StatusCase)),
    "early_hostname": choice(True, False),
    "unauthorized_status": choice(*get_args(UnauthorizedStatus)),
    "not_ready_status": choice(*get_args(NotReadyStatus)),
    "after_delete": choice(*get_args(AfterDelete)),
    "second_delete": choice(*get_args(SecondDelete)),
    "gone_word": text,
    "cleanup_after": seconds,
    "cleaned_word": optional(text),
    "runtime": choice(*get_args(Runtime)),
    "reply": _reply,
    "replies": replies,
    "terminal": choice(True, False),
    "keep_alive": choice(True, False),
    "line_end": choice(*get_args(LineEnd)),
    "first_event_after": seconds,
    "event_pause": seconds,
    "agent_dies": choice(*get_args(AgentDies)),
    "agent_dies_after": number("events"),
    "recordings": _recordings,
    "providers": words,
    "providers_listed": choice(*get_args(ProvidersListed)),
    "llm_events_per_turn": number("rows"),
    "llm_events_lag": seconds,
    "llm_events_gap": seconds,
    "trouble": choice(*get_args(Trouble)),
    "trouble_every": number("requests", least=1),
    "trouble_calls": validity.words_among(*ROUTES),
    "retry_after": choice(*get_args(RetryAfter)),
    "retry_after_seconds": number("seconds"),
    "extra": json_object,
}
