"""An attempt at a call: who is told of it, what its outcome means, and when the next one is made.

What may be repeated differs by call: a provision is safe under its key, a read always is, and a
chat only where the router says that it did not accept it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal, Protocol

from pytest_hydrasmoke._base.errors import TransportError
from pytest_hydrasmoke._transport.protocol import Answer, CallName, Request

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pytest_hydrasmoke._transport.links import Link

Outcome = int | TransportError
TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Rule:
    """What a call's outcomes mean: `answers` are successes, `again` are retried.

    `lost` says whether it may be retried although the first request may have been carried out.
    """

    answers: frozenset[int]
    again: frozenset[int] = TRANSIENT
    lost: bool = True

    def decide(self, outcome: Outcome) -> Literal["answer", "again", "fail"]:
        """Return what one attempt's outcome means for its call."""
        if isinstance(outcome, int):
            if outcome in self.answers:
                return "answer"
            return "again" if outcome in self.again else "fail"
        if outcome.permanent:
            return "fail"
        return "again" if self.lost or not outcome.reached else "fail"


RULES: Mapping[CallName, Rule] = {
    "provision": Rule(frozenset({200, 201, 202})),
    "poll": Rule(frozenset({200})),
    "status": Rule(frozenset({200})),
    "chat": Rule(frozenset({200}), again=frozenset({409, 425, 429, 503}), lost=False),
    "llm_events": Rule(frozenset({200})),
    "missing": Rule(frozenset()),
    # An instance that is gone already (404, 409, 410) is what was requested.
    "delete": Rule(frozenset({200, 202, 204, 404, 409, 410})),
}


def pause(attempt: int, retry_after: float | None, draw: float) -> float:
    """Return the seconds before attempt number `attempt` + 1 (from 1).

    Full jitter (`draw` in [0, 1)) over 0.5 s doubled each time, up to 10 s, and no less than the
    router's own `Retry-After`, if it gave one.
    """
    jitter = draw * min(0.25 * 2.0 ** min(attempt, 10), 10.0)
    return max(jitter, retry_after or 0.0)


def asked_pause(answer: Answer) -> float | None:
    """Return the seconds that an answer's `Retry-After` asks for, if it has a usable one."""
    # A date counts from the router's own time: a test may have frozen that of this machine.
    now = _moment(answer.headers.get("date") or "") or datetime.now(UTC)
    return retry_after(answer.headers.get("retry-after"), now)


def retry_after(header: str | None, now: datetime) -> float | None:
    """Read a `Retry-After`, in seconds or as an HTTP date, as seconds from `now`."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    when = _moment(text)
    return None if when is None else max((when - now).total_seconds(), 0.0)


def _moment(text: str) -> datetime | None:
    """Read an HTTP date."""
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Tried:
    """One request as it went: `at` on the IO's clock, and seconds."""

    request: Request
    number: int
    at: float
    seconds: float
    outcome: Outcome
    oddity: str | None = None
    """A note on a charset that the answer can't have."""

    @property
    def outcome_unknown(self) -> bool:
        """True if it may have been carried out although no answer says so.

        The attempt that ends a call is judged by its error: it may be the router's own refusal.
        """
        if isinstance(self.outcome, TransportError):
            return self.outcome.reached
        return self.outcome == 409 or self.outcome in TRANSIENT


class Observer(Protocol):
    """Observe the attempts and answers of calls."""

    link: Link | None
    """Whose token the calls are sent with; None for their IO's."""

    def saw_attempt(self, attempt: Tried) -> None: ...

    def saw_answer(self, call: CallName, answer: BaseModel) -> None: ...
