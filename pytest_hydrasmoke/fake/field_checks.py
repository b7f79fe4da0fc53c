"""Allowed values of a scenario's fields; pure.

Each check takes a field's name and value, returns the value as stored, and raises ValueError with
what is allowed. Lists become tuples, for scenarios that were read from a file.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias, cast

from .records import Json

Check: TypeAlias = Callable[[str, object], object]


def meant(given: object, known: Iterable[object]) -> str:
    """Return a question that suggests the known word most like the given one; "" if none is."""
    words = [word for word in known if isinstance(word, str)]
    near = difflib.get_close_matches(given, words, 1, 0.6) if isinstance(given, str) else []
    return f" (did you mean {near[0]}?)" if near else ""


def choice(*choices: object) -> Check:
    """Allow only these values."""

    def check(name: str, value: object) -> object:
        # True == 1 and 200.0 == 200, but neither is what the answer should hold.
        if not any(value == good and type(value) is type(good) for good in choices):
            allowed = ", ".join(map(repr, choices))
            raise ValueError(f"{name} is {value!r}{meant(value, choices)}; it may be {allowed}")
        return value

    return check


def text(name: str, value: object) -> object:
    """Allow a string."""
    if not isinstance(value, str):
        raise ValueError(f"{name} is a text, not {value!r}")
    return value


def seconds(name: str, value: object) -> object:
    """Allow a time, `inf` included."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError(f"{name} is a number of seconds, 0 or more, not {value!r}")
    return value


def number(of: str, least: int = 0) -> Check:
    """Allow whole numbers from `least` on; `of` says what is counted."""

    def check(name: str, value: object) -> object:
        if type(value) is not int or value < least:
            raise ValueError(f"{name} is a number of {of}, {least} or more, not {value!r}")
        return value

    return check


def optional(check: Check) -> Check:
    """Allow None beside what a check allows."""
    return lambda name, value: None if value is None else check(name, value)


def words(name: str, value: object) -> tuple[str, ...]:
    """Allow a list of strings."""
    # A single string is a sequence too, of its letters, and never what was meant.
    if isinstance(value, list | tuple):
        given = cast(Sequence[object], value)
        found = tuple(word for word in given if isinstance(word, str))
        if len(found) == len(given):
            return found
    raise ValueError(f"{name} is a list of texts, not {value!r}")


def words_among(*choices: str) -> Check:
    """Allow a list of these strings."""

    def check(name: str, value: object) -> tuple[str, ...]:
        one = choice(*choices)
        for word in words(name, value):
            one(f"a word of {name}", word)
        return words(name, value)

    return check


def json_object(name: str, value: object) -> dict[str, Json]:
    """Allow a JSON object."""
    if isinstance(value, Mapping):
        fields = dict(cast(Mapping[str, Json], value))
        try:
            # Through a text and back: a private copy that nothing else can change.
            copy: dict[str, Json] = json.loads(json.dumps(fields, allow_nan=False))
        except (TypeError, ValueError):
            copy = {}
        if copy == fields:
            return copy
    raise ValueError(f"{name} is a mapping of names to JSON, not {value!r}")


def script(name: str, value: object) -> tuple[tuple[float, str], ...]:
    """Allow pairs of seconds and a word that start at 0 s and go forward in time."""
    try:
        pairs = tuple((after, word) for after, word in cast(Sequence[Sequence[object]], value))
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} is a list of pairs of seconds and a word, not {value!r}"
        ) from None
    last = -math.inf
    for after, word in pairs:
        seconds(f"a time of {name}", after)
        text("a status", word)
        at = cast(float, after)
        if at < last:
            raise ValueError(f"{name} must be in order of time, but {word!r} comes at {after!r} s")
        last = at
    if not pairs or pairs[0][0] != 0:
        raise ValueError(f"{name} must start at 0 s: an instance always has a status")
    return cast(tuple[tuple[float, str], ...], pairs)
