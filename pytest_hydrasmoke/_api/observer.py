"""What is told of calls while they are made: each attempt, and each answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel

from pytest_hydrasmoke._base.errors import TransportError
from pytest_hydrasmoke._transport.protocol import CallName, Request

from .retry import TRANSIENT, Outcome


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

    def saw_attempt(self, attempt: Tried) -> None: ...

    def saw_answer(self, call: CallName, code: int, answer: BaseModel) -> None: ...
