"""Types of what somebody gives the fake: pydantic checks it, and here are the words for errors."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import wraps
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, Strict, StrictBool, ValidationError
from pydantic_core import ErrorDetails

from .records import Json

T = TypeVar("T", bound=type)
CONFIG = ConfigDict(extra="forbid")
_SHOWN = 100
"""Most characters of a wrong value that are shown."""


def _in_utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("has half a surrogate pair, which no stream can hold") from None
    return text


def _as_json(value: object) -> Json:
    # Through a text and back: a private copy that nothing else can change.
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as problem:
        raise ValueError(f"is no JSON: {problem}") from None
    copy: Json = json.loads(_in_utf8(text))
    return copy


Flag = StrictBool
Text = Annotated[str, Strict(), AfterValidator(_in_utf8)]
Count = Annotated[int, Strict(), Field(ge=0)]
Positive = Annotated[int, Strict(), Field(ge=1)]
Seconds = Annotated[float, Strict(), Field(ge=0)]
AnyJson = Annotated[Any, AfterValidator(_as_json)]
JsonObject = Annotated[Mapping[str, Any], AfterValidator(_as_json)]


def meant(given: object, known: Iterable[object]) -> str:
    """Return a question that suggests the known word most like the given one; "" if none is."""
    words = [word for word in known if isinstance(word, str)]
    near = difflib.get_close_matches(given, words, 1, 0.6) if isinstance(given, str) else []
    return f" (did you mean {near[0]}?)" if near else ""


def in_words(*below: str) -> Callable[[T], T]:
    """Let a pydantic dataclass raise ValueError with all that is wrong, in one line for people.

    `below` are the keys of tables in its fields, to suggest one for a key that is misspelled.
    """

    def decorate(kind: T) -> T:
        build: Callable[..., None] = vars(kind)["__init__"]

        @wraps(build)
        def checked(self: object, **given: object) -> None:
            __tracebackhide__ = True  # The object is not there yet, and can't be shown.
            try:
                build(self, **given)
            except ValidationError as problem:
                known = [field.name for field in fields(kind)]
                found = [_words(it, known, below) for it in problem.errors(include_url=False)]
                raise ValueError("; ".join(found)) from None

        kind.__init__ = checked  # type: ignore[misc]
        return kind

    return decorate


def _words(error: ErrorDetails, known: Sequence[str], below: Sequence[str]) -> str:
    place, given = [it for it in error["loc"] if it != "[key]"], error["input"]
    context = error.get("ctx", {})
    where = "".join(f"[{it}]" if isinstance(it, int) else f".{it}" for it in place)[1:]
    if error["type"] == "unexpected_keyword_argument":
        return f"unknown key {where}{meant(place[-1], known if len(place) == 1 else below)}"
    if error["type"] == "missing":
        return f"{where} is missing"
    if error["type"] == "value_error":  # One of this package's own: what follows a name.
        return f"{where} {context['error']}".strip()
    shown = f"{where} is {repr(given)[:_SHOWN]}"
    if error["type"] == "literal_error":
        expected = context["expected"]
        hint = meant(given, re.findall(r"'(.+?)'", expected))
        return f"{shown}{hint}; it may be {expected}"
    should = re.sub(r" or an instance of \w+$", "", error["msg"].replace("tuple", "list"))
    return f"{shown}; {should.replace('Input', 'it')}"
