"""How a fake router behaves: every answer that the router's own page leaves open.

A scenario is data. It names what is answered; `world`, `frames` and `app` carry it out. The
defaults are the quiet router: quick, and in the plainest of the allowed words.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from .records import Json

LineEnd = Literal["lf", "crlf", "cr"]
ProvidersListed = Literal["sorted", "seen", "repeated"]
Runtime = Literal["openai", "anthropic", "objects", "named", "text"]
StatusCase = Literal["as_written", "lower", "upper", "title", "mixed"]

ProvisionStatus = Literal[200, 201, 202]
InstanceIdIn = Literal["present", "null", "absent"]
SecondKey = Literal["same", "conflict"]
PollBeforeRow = Literal["found_false", "bare", "404"]
UnauthorizedStatus = Literal[401, 403]
NotReadyStatus = Literal[409, 425, 503]
AfterDelete = Literal["404", "row"]
SecondDelete = Literal[200, 404, 409, 410]

_CHOICES: Mapping[str, tuple[object, ...]] = {
    "provision_status": get_args(ProvisionStatus),
    "provision_instance_id": get_args(InstanceIdIn),
    "second_key": get_args(SecondKey),
    "poll_before_row": get_args(PollBeforeRow),
    "status_case": get_args(StatusCase),
    "unauthorized_status": get_args(UnauthorizedStatus),
    "not_ready_status": get_args(NotReadyStatus),
    "after_delete": get_args(AfterDelete),
    "second_delete": get_args(SecondDelete),
    "runtime": get_args(Runtime),
    "line_end": get_args(LineEnd),
    "providers_listed": get_args(ProvidersListed),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One way for a router to keep its contract; raises ValueError for what it can't mean.

    All times are seconds of the fake's clock.
    """

    provision_status: ProvisionStatus = 200
    """Success code of provision."""
    provision_instance_id: InstanceIdIn = "present"
    """`instance_id` in provision's answer."""
    second_key: SecondKey = "same"
    """A known idempotency key with another body: the first answer again, or 409."""

    row_after: float = 0.02
    """From provision until a worker inserts the row; `math.inf` for never."""
    poll_before_row: PollBeforeRow = "found_false"
    """Poll until then: `found` false with nulls, `found` false `bare` of them, or 404."""

    statuses: tuple[tuple[float, str], ...] = (
        (0.0, "queued"),
        (0.05, "provisioning"),
        (0.1, "booting"),
        (0.15, "running"),
    )
    """The boot: from how long after the row appeared the instance has which status. A boot that
    fails is one that ends in such a word; one that hangs never gets to a ready one."""
    ready_words: tuple[str, ...] = ("running", "active", "ready", "online")
    """The words of `statuses` in which the agent takes a chat."""
    status_case: StatusCase = "as_written"
    """Letter case of every status word in an answer."""
    early_hostname: bool = False
    """Whether the hostname is known before the boot is done; else it is null until then."""

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

    runtime: Runtime = "openai"
    """Whose server-sent events a chat turn is told in; see `frames`."""
    reply: str = "I am ready."
    """What the agent says, whatever it was asked."""
    terminal: bool = True
    """Whether a turn ends with the events by which its runtime says so."""
    keep_alive: bool = False
    """Whether a comment comes before every event."""
    line_end: LineEnd = "lf"
    """Line ends of the stream."""
    event_pause: float = 0.0
    """Between one event of a turn and the next."""

    providers: tuple[str, ...] = ("anthropic",)
    """The providers of an instance's LLM events, row after row, from the front again at the end."""
    providers_listed: ProvidersListed = "sorted"
    """`providers` in the answer: distinct and sorted, distinct as first seen, or one a row."""
    llm_events_per_turn: int = 1
    """Rows that one turn leaves."""
    llm_events_lag: float = 0.0
    """From the end of a turn until its rows are written."""

    extra: Mapping[str, Json] = field(default_factory=dict[str, Json], hash=False)
    """Fields added to every answer to a successful call, as a router that has moved on would."""

    def __post_init__(self) -> None:
        # Lists become tuples, for the sake of scenarios that were read from a file.
        object.__setattr__(self, "statuses", _pairs(self.statuses))
        for name in ("ready_words", "providers"):
            object.__setattr__(self, name, _words(name, getattr(self, name)))
        object.__setattr__(self, "extra", _json_object("extra", self.extra))
        for name, choices in _CHOICES.items():
            _check_choice(name, getattr(self, name), choices)
        for name in ("row_after", "event_pause", "llm_events_lag"):
            _check_duration(name, getattr(self, name))
        for name in ("early_hostname", "terminal", "keep_alive"):
            _check_choice(name, getattr(self, name), (True, False))
        for name in ("gone_word", "reply"):
            _check_text(name, getattr(self, name))
        _check_script(self.statuses)
        rows = self.llm_events_per_turn
        if type(rows) is not int or rows < 0:
            raise ValueError(f"llm_events_per_turn is a number of rows, 0 or more, not {rows!r}")
        if rows and not self.providers:
            raise ValueError("providers is empty, but a turn leaves LLM events: name one")


def _pairs(value: object) -> tuple[tuple[object, object], ...]:
    try:
        return tuple((after, word) for after, word in cast(Sequence[Sequence[object]], value))
    except (TypeError, ValueError):
        message = f"statuses is a list of pairs of seconds and a word, not {value!r}"
        raise ValueError(message) from None


def _words(name: str, value: object) -> tuple[str, ...]:
    # A lone text is a sequence too, of its letters, and never what was meant.
    if isinstance(value, list | tuple):
        given = cast(Sequence[object], value)
        words = tuple(word for word in given if isinstance(word, str))
        if len(words) == len(given):
            return words
    raise ValueError(f"{name} is a list of texts, not {value!r}")


def _json_object(name: str, value: object) -> dict[str, Json]:
    if isinstance(value, Mapping):
        fields = dict(cast(Mapping[str, Json], value))
        try:
            # By way of a text and back: a copy that nobody else can change.
            copy: dict[str, Json] = json.loads(json.dumps(fields, allow_nan=False))
        except (TypeError, ValueError):
            copy = {}
        if copy == fields:
            return copy
    raise ValueError(f"{name} is a mapping of names to JSON, not {value!r}")


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{name} is a text, not {value!r}")


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    # True == 1 and 200.0 == 200, but neither is what the answer should hold.
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        raise ValueError(f"{name} is {value!r}; it may be {', '.join(map(repr, choices))}")


def _check_duration(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError(f"{name} is a number of seconds, 0 or more, not {value!r}")


def _check_script(statuses: Sequence[tuple[object, object]]) -> None:
    last = -math.inf
    for after, word in statuses:
        _check_duration("a time of statuses", after)
        _check_text("a status", word)
        seconds = float(str(after))
        if seconds < last:
            raise ValueError(f"statuses go forward in time, but {word!r} comes at {after!r} s")
        last = seconds
    if not statuses or statuses[0][0] != 0:
        raise ValueError("statuses start at 0 s: an instance has a status from its first moment")
