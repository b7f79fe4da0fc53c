"""How a router answers where its contract leaves it open: recorded, never judged.

Only forms are kept, such as that a field was null: no id, no value, no word of a reply. So they can
be shared, and a fake router can learn from them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.events import Answered, Drifted, Event, Heard
from pytest_hydrasmoke._runtimes.read import DONE

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pytest_hydrasmoke._api.retry import Tried
    from pytest_hydrasmoke._sse.decoder import ChatEvent
    from pytest_hydrasmoke._transport.links import Link
    from pytest_hydrasmoke._transport.protocol import CallName

MOST = 200
"""How many forms of answers and of events are kept: a hostile router may send any number."""
_MOST_FIELDS = 40
"""How many unknown fields of an answer are read; it may have tens of thousands."""
_MOST_NAMED = 10
_KINDS: Mapping[type, str] = {
    type(None): "null",
    bool: "boolean",
    str: "string",
    int: "number",
    float: "number",
    list: "list",
    tuple: "list",
}
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
    """What was seen of a router, as an `Observer` of calls: a form is noted once."""

    note: Callable[[Event], None] = lambda event: None
    seen: dict[Event, None] = field(default_factory=dict[Event, None])
    link: Link | None = None
    """Whose token the calls are sent with; None for their IO's."""

    def saw_attempt(self, attempt: Tried) -> None:
        """Record a code; a successful answer's fields come with `saw_answer`."""
        call, code = attempt.request.call, attempt.outcome
        if not isinstance(code, int):
            return
        if code >= 300 or call == "chat":
            self._note(Answered(call, code))
        if call in _KNOWN and code < 500 and code not in _KNOWN[call] | _ANY:
            self._note(Drifted(f"{call} answered with {code}, which its contract does not know"))
        if attempt.oddity is not None:
            self._note(Drifted(f"{call} answered {attempt.oddity}"))

    def saw_answer(self, call: CallName, code: int, answer: BaseModel) -> None:
        """Record the form of an answer that could be parsed."""
        unknown = answer.model_extra or {}
        extra = dict(itertools.islice(unknown.items(), _MOST_FIELDS))
        names = answer.model_fields_set & type(answer).model_fields.keys()
        values: dict[str, object] = {name: getattr(answer, name) for name in names} | extra
        fields = tuple(sorted((_name(name), kind_of(value)) for name, value in values.items()))
        self._note(Answered(call, code, fields))
        if extra:
            named = ", ".join(sorted(map(_name, extra))[:_MOST_NAMED])
            more = len(unknown) - _MOST_NAMED
            rest = f", and {more} more" if more > 0 else ""
            self._note(Drifted(f"unknown in the answer to {call}: {named}{rest}"))

    def saw_event(self, event: ChatEvent) -> None:
        """Record the form of a stream's event."""
        self._note(form_of(event))

    def _note(self, event: Event) -> None:
        if event not in self.seen and sum(type(it) is type(event) for it in self.seen) < MOST:
            self.seen[event] = None
            self.note(event)


def _name(text: str) -> str:
    return safe_line(text, 60)


def kind_of(value: object) -> str:
    """Return the name of a JSON value's kind."""
    return _KINDS.get(type(value), "object")


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
