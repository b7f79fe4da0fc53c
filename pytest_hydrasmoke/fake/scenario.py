"""How a fake router behaves: every answer that the contract leaves open.

A scenario is data: `state`, `sse_events` and `app` act on it. The defaults are a simple router:
quick, and with the simplest of the allowed answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, PlainValidator, model_validator
from pydantic.dataclasses import dataclass

from .recordings import RecordedFolder
from .records import Route, public
from .replies import KEYS, copies
from .validity import CONFIG, Count, Flag, Positive, Seconds, Text, in_words

AfterDelete = Literal["404", "row"]
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

REPEATABLE: tuple[Route, ...] = ("provision", "poll", "status", "llm_events", "delete")
"""The calls that a client may make again when an answer was lost."""


def _script(pairs: tuple[tuple[float, str], ...]) -> tuple[tuple[float, str], ...]:
    times = [after for after, _ in pairs]
    if times[:1] != [0]:
        raise ValueError("must start at 0 s: an instance always has a status")
    if times != sorted(times):
        raise ValueError(f"must be in order of time, not {times}")
    return pairs


def _reply(value: object) -> object:
    if isinstance(value, list):
        raise ValueError("is a text, not a list (did you mean [[replies]]?)")
    return value


def _recordings(value: object) -> object:
    if value is None or isinstance(value, RecordedFolder):
        return value
    raise ValueError("can't be set: give their folder as the scenario, or as a file's base")


@public
@in_words(*KEYS)
@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Scenario:
    """One way for a router to keep its contract; raises ValueError for impossible values.

    All times are seconds of the fake's clock.
    """

    provision_status: Literal[200, 201, 202] = 200
    """Success code of provision."""
    provision_instance_id: Literal["present", "null", "absent"] = "present"
    """`instance_id` in provision's answer."""
    second_key: Literal["same", "conflict"] = "same"
    """Answer to a known idempotency key with another body: the first one again, or 409."""
    quota: Count | None = None
    """How many instances may live at once."""
    quota_status: Literal[402, 403, 409, 429] = 403
    """Answer to a provision beyond the quota."""

    row_after: Seconds = 0.02
    """From a provision until the row is there; `inf`: never."""
    poll_before_row: Literal["found_false", "bare", "404"] = "found_false"
    """Poll's answer until then; `bare`: `found` false alone."""

    statuses: Annotated[tuple[tuple[Seconds, Text], ...], AfterValidator(_script)] = (
        (0.0, "queued"),
        (0.05, "provisioning"),
        (0.1, "booting"),
        (0.15, "running"),
    )
    """The boot: seconds after the row, and the status from then on."""
    ready_words: tuple[Text, ...] = ("running", "active", "ready", "online")
    """The words of `statuses` with which the agent accepts a chat."""

    unauthorized_status: Literal[401, 403] = 401
    """Answer to a missing or wrong token."""
    not_ready_status: Literal[409, 425, 503] = 409
    """Answer to a chat before the agent is ready."""

    after_delete: AfterDelete = "404"
    """What status and poll see of a deleted instance: nothing, or the row with `gone_word`."""
    second_delete: Literal[200, 404, 409, 410] = 404
    """Answer to a second delete."""
    gone_word: Text = "deleted"
    """Status in delete's answer, and afterwards."""
    cleanup_after: Seconds = 0.05
    """How long the provider's clean-up after a delete takes."""
    cleaned_word: Text | None = None
    """Status after the clean-up; none: still `gone_word`."""

    runtime: Runtime = "openai"
    """The form of a chat's events; `objects`, `named` and `text` are no standard."""
    reply: Annotated[Text, BeforeValidator(_reply)] = "I am ready."
    """The answer to a message that no entry of `replies` matches."""
    replies: Annotated[Sequence[Mapping[str, object]], PlainValidator(copies)] = field(
        default=(), hash=False
    )
    """Answers and tool calls for messages that match: a table for each."""
    terminal: Flag = True
    """Whether a turn ends with its runtime's terminal events."""
    keep_alive: Flag = False
    """Whether a comment precedes each event."""
    first_event_after: Seconds = 0.0
    """From a chat's answer until its first event."""
    event_pause: Seconds = 0.0
    """Between two events of a turn."""
    agent_dies: Literal["never", "error", "cut", "end", "stall"] = "never"
    """How each turn fails: an error event, a cut connection, an early `end`, or silence
    (`stall`)."""
    agent_dies_after: Count = 3
    """Events before that."""

    recordings: Annotated[RecordedFolder | None, PlainValidator(_recordings)] = None
    """Set by a folder of recordings: what the agent says. Another message is answered 501."""

    providers: tuple[Text, ...] = ("anthropic",)
    """Providers of LLM events, one for each row, in turn."""
    llm_events_per_turn: Count = 1
    """Rows that a turn leaves."""
    llm_events_lag: Seconds = 0.2
    """From a turn's end until its first row."""
    llm_events_gap: Seconds = 0.0
    """From one row of a turn to the next."""

    trouble: Literal["none", "limited", "unavailable", "dropped", "lost"] = "none"
    """Some requests get 429 (`limited`), 503 (`unavailable`), or a closed connection before
    (`dropped`) or after (`lost`) they are carried out."""
    trouble_every: Positive = 2
    """Trouble hits the first of so many requests of a call; 1: every request."""
    trouble_calls: tuple[Route, ...] = REPEATABLE
    """The calls that trouble hits."""
    retry_after: Literal["none", "seconds", "date"] = "none"
    """`Retry-After` of such a 429 or 503."""
    retry_after_seconds: Count = 1
    """How many seconds ahead it is."""

    @model_validator(mode="after")
    def _names_providers(self) -> Self:
        if self.llm_events_per_turn and not self.providers:
            raise ValueError("providers is empty, but a turn leaves LLM events: name one")
        return self


def ready(word: str | None, words: tuple[str, ...]) -> bool:
    """Return whether a status word is one of the ready ones, in whatever letter case it is told."""
    return word is not None and word.casefold() in map(str.casefold, words)
