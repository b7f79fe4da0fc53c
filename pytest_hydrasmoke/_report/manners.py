"""How the router answers where its contract leaves it open: forms, as the run has seen them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from .moments import PLAIN

if TYPE_CHECKING:
    from pytest_hydrasmoke._core.sightings import Sightings

T = TypeVar("T")


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


def manners_of(seen: Iterable[Sightings]) -> Manners:
    """Convert what was seen of the router."""
    sightings = list(seen)
    return Manners(
        answers=tuple(
            AnswerReport(call=form.call, code=form.code, fields=dict(form.fields))
            for form in _distinct(form for sight in sightings for form in sight.answers)
        ),
        events=tuple(
            EventReport.model_validate(asdict(form))
            for form in _distinct(form for sight in sightings for form in sight.events)
        ),
        drift=tuple(dict.fromkeys(text for sight in sightings for text in sight.drift)),
    )


def all_manners(several: Sequence[Manners]) -> Manners:
    """Combine what several processes saw of the router."""
    return Manners(
        answers=tuple(_distinct(form for one in several for form in one.answers)),
        events=tuple(_distinct(form for one in several for form in one.events)),
        drift=tuple(dict.fromkeys(text for one in several for text in one.drift)),
    )


def _distinct(forms: Iterable[T]) -> list[T]:
    # Sorted: the order of a set of strings differs in each process.
    return [form for _, form in sorted({repr(form): form for form in forms}.items())]
