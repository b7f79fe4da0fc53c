"""What a router sends beside its contract, and the forms of events: recorded, never judged.

Only names and forms are kept, no value and no word of a reply: so they can be shared.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.events import Drifted, Heard
from pytest_hydrasmoke._runtimes.read import DONE

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pytest_hydrasmoke._api.retry import Tried
    from pytest_hydrasmoke._sse.decoder import ChatEvent
    from pytest_hydrasmoke._transport.links import Link
    from pytest_hydrasmoke._transport.protocol import CallName

MOST = 200
"""How many of each are kept: a hostile router may send any number."""
_MOST_FIELDS = 40
"""How many unknown fields of an answer are read; it may have tens of thousands."""
_MOST_NAMED = 10
_ANY = frozenset({401, 403, 422, 429})
_KNOWN: Mapping[str, frozenset[int]] = {
    "provision": frozenset({200, 201, 202, 409}),
    "poll": frozenset({200, 404}),
    "status": frozenset({200, 404}),
    "chat": frozenset({200, 404, 409, 425, 503}),
    "llm_events": frozenset({200, 404}),
    "delete": frozenset({200, 404, 409, 410}),
}
"""Status codes that the contract defines for each call, or that are tolerated beside it."""


@dataclass(slots=True)
class Sightings:
    """What was seen of a router, as an `Observer` of calls: the same is noted once."""

    note: Callable[[Drifted | Heard], None] = lambda event: None
    seen: dict[Drifted | Heard, None] = field(default_factory=dict[Drifted | Heard, None])
    link: Link | None = None
    """Whose token the calls are sent with; None for their IO's."""

    def saw_attempt(self, attempt: Tried) -> None:
        """Record a code that the contract does not know."""
        call, code = attempt.request.call, attempt.outcome
        if not isinstance(code, int):
            return
        if call in _KNOWN and code < 500 and code not in _KNOWN[call] | _ANY:
            self._note(Drifted(f"{call} answered with {code}, which its contract does not know"))
        if attempt.oddity is not None:
            self._note(Drifted(f"{call} answered {attempt.oddity}"))

    def saw_answer(self, call: CallName, answer: BaseModel) -> None:
        """Record the fields of an answer that the contract does not know."""
        if unknown := answer.model_extra:
            some = itertools.islice(unknown, _MOST_FIELDS)
            named = ", ".join(sorted(map(_name, some))[:_MOST_NAMED])
            more = len(unknown) - _MOST_NAMED
            rest = f", and {more} more" if more > 0 else ""
            self._note(Drifted(f"unknown in the answer to {call}: {named}{rest}"))

    def saw_event(self, event: ChatEvent) -> None:
        """Record the form of a stream's event."""
        self._note(form_of(event))

    def _note(self, event: Drifted | Heard) -> None:
        if event not in self.seen and sum(type(it) is type(event) for it in self.seen) < MOST:
            self.seen[event] = None
            self.note(event)


def _name(text: str) -> str:
    return safe_line(text, 60)


def form_of(event: ChatEvent) -> Heard:
    """Return an event's form."""
    name = _name(event.event)
    if event.data.strip() == DONE:
        return Heard(name, "done")
    if not event.data.lstrip().startswith("{"):
        return Heard(name, "text")
    try:
        value = event.json()
    except ValueError:
        return Heard(name, "text")
    frame = cast("dict[str, object]", value)
    kind = frame.get("type")
    keys = tuple(sorted(map(_name, frame)))[:20]
    return Heard(name, "object", keys, _name(kind) if isinstance(kind, str) else None)
