"""How the router answers where its contract leaves it open: forms, as the run has seen them."""

from __future__ import annotations

from pydantic import BaseModel

from pytest_hydrasmoke._journal.stories import Stories

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


def manners_of(stories: Stories) -> Manners:
    """Convert what was seen of the router."""
    # Sorted: processes see the forms in any order.
    return Manners(
        answers=tuple(
            AnswerReport(call=form.call, code=form.code, fields=dict(form.fields))
            for form in sorted(stories.answers, key=repr)
        ),
        events=tuple(
            EventReport.model_validate(form._asdict()) for form in sorted(stories.heard, key=repr)
        ),
        drift=tuple(stories.drift),
    )
