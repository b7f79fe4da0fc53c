"""How the router answers where its contract leaves it open: forms, as the run has seen them."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel

from pytest_hydrasmoke._journal.events import Answered, Drifted, Event, Heard

from .moments import PLAIN


class _Form(BaseModel):
    model_config = PLAIN


class AnswerReport(_Form):
    """The form of a call's answer, without its values."""

    call: str
    code: int
    fields: dict[str, str]
    """What kind of value each had: null, boolean, string, number, list, object."""


class EventReport(_Form):
    """The form of a stream's event, without the words of the reply."""

    event: str
    data: str
    """`done` (`[DONE]`), `object` or `text`."""
    keys: tuple[str, ...]
    """The keys at the top of an object."""
    kind: str | None
    """An object's `type`, if that is a word."""


class Manners(_Form):
    """How the router answers where its contract leaves it open: forms without values."""

    answers: tuple[AnswerReport, ...] = ()
    events: tuple[EventReport, ...] = ()
    drift: tuple[str, ...] = ()
    """What the contract does not know, in any answer."""


def manners_of(forms: Iterable[Event]) -> Manners:
    """Convert what was seen of the router."""
    # Sorted: processes see the forms in any order.
    every = sorted(forms, key=repr)
    return Manners(
        answers=tuple(
            AnswerReport(call=form.call, code=form.code, fields=dict(form.fields))
            for form in every
            if isinstance(form, Answered)
        ),
        events=tuple(
            EventReport.model_validate(form._asdict()) for form in every if isinstance(form, Heard)
        ),
        drift=tuple(form.text for form in every if isinstance(form, Drifted)),
    )
