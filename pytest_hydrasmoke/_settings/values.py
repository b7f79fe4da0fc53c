"""The kinds of values that settings have; what is wrong with one is a `ValueError` in words."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal, cast
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
)

from pytest_hydrasmoke._base.run_keys import name_problem
from pytest_hydrasmoke._base.text import nearest, safe_line, safe_text
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._journal.story import BUDGETS
from pytest_hydrasmoke._transport.certificates import certificates_problem
from pytest_hydrasmoke._transport.links import PLACE

LONGEST_GROUP = 200
"""Most characters of a group's name."""
_LINK = re.compile(r"https?://[^\s/?#@]+([/?#]\S*)?")
"""A URL with a host, and without a user."""


def _words(value: object) -> object:
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list):
        return value
    words = cast("list[object]", value)
    stripped = (word.strip() if isinstance(word, str) else word for word in words)
    return [word for word in stripped if word != ""]


def _number(value: object) -> object:
    # To pydantic, TOML's `true` is 1.
    return str(value) if isinstance(value, bool) else value


def _token(value: object) -> object:
    if isinstance(value, str):
        value = Token(value)
    if isinstance(value, Token) and value.problem is not None:
        raise ValueError(value.problem)
    return value


def _run_id(value: str) -> str:
    problem = name_problem(value)
    if problem is not None:
        raise ValueError(problem)
    return value


def _group(value: str) -> str:
    if not 0 < len(value) <= LONGEST_GROUP or not value.isprintable() or value != value.strip():
        raise ValueError(
            f"must be 1 to {LONGEST_GROUP} printable characters, with no blank at either end"
        )
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return value


def _trace_url(value: str) -> str:
    # It is printed, and written into reports.
    if PLACE not in value or not value.isprintable() or not _LINK.fullmatch(value):
        raise ValueError(
            f"must be a URL with {PLACE}, such as https://traces.example/{PLACE}, without a user "
            "or password"
        )
    return value


def _uuid(value: str) -> str:
    try:
        return str(UUID(value))
    except ValueError:
        raise ValueError("is not a UUID") from None


def _checks(value: object) -> object:
    if isinstance(value, str) and value.lower() == "core":
        return "core"
    try:
        return TypeAdapter(bool).validate_python(value)
    except ValidationError:
        raise ValueError("must be true, false or core") from None


def _ca_file(path: Path) -> Path:
    problem = certificates_problem(path)
    if problem is not None:
        raise ValueError(safe_text(problem, 1_000))  # Some releases of pydantic take text only.
    return path


# os.path.isfile() and isdir(): the methods of Path raise for a name that is too long, and for a
# file in a folder that this user may not read.
def _token_file(path: Path) -> Path:
    if os.path.isfile(path):
        return path
    # Shown only if it looks like a path: a user may have set it to the token itself.
    is_path = path.parent != Path() and os.path.isdir(path.parent)
    hidden = "of this name (not shown: it may be the token)"
    shown = safe_text(str(path), 1_000) if is_path else hidden
    raise ValueError(f"there is no file {shown}")


def _budgets(value: object) -> object:
    if isinstance(value, str):
        pairs = [_pair(it) for it in value.split(",") if it.strip()]
        value, names = dict(pairs), [name for name, _ in pairs]
        if twice := [name for name in value if names.count(name) > 1]:
            raise ValueError(f"has two budgets for {twice[0]!r}: keep one of them")
    if not isinstance(value, dict):
        return value
    budgets = cast("dict[object, object]", value)
    for name in budgets:
        if name not in BUDGETS:
            near = nearest(str(name), BUDGETS)
            hint = f" (did you mean {near}?)" if near else ""
            raise ValueError(
                f"{name!r} can't have a budget{hint}: it must be one of {', '.join(BUDGETS)}"
            )
    return budgets


def _pair(words: str) -> tuple[str, str]:
    name, _, most = map(str.strip, words.partition("="))
    if not name or not most or "=" in most:
        raise ValueError(
            f"{safe_line(words, 60)!r} is not a budget: write name=number, with commas between "
            f"budgets, such as ready=300,first_event=5. A name is one of {', '.join(BUDGETS)}"
        )
    return name, most


Words = Annotated[frozenset[str], BeforeValidator(_words)]
StatusWords = Annotated[Words, AfterValidator(lambda words: frozenset(map(str.lower, words)))]
_Float = Annotated[float, BeforeValidator(_number)]
Seconds = Annotated[_Float, Field(gt=0, allow_inf_nan=False)]
NoLessThanZero = Annotated[_Float, Field(ge=0, allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_number), Field(ge=1)]
Budgets = Annotated[dict[str, Seconds], BeforeValidator(_budgets)]
CaFile = Annotated[Path, AfterValidator(_ca_file)]
Checks = Annotated[bool | Literal["core"], BeforeValidator(_checks)]
TokenFile = Annotated[Path, AfterValidator(_token_file)]
Pattern = Annotated[str, AfterValidator(_pattern)]
TraceUrl = Annotated[str, AfterValidator(_trace_url)]
InstanceId = Annotated[str, AfterValidator(_uuid)]
RunId = Annotated[str, AfterValidator(_run_id)]
Group = Annotated[str, AfterValidator(_group)]
HiddenToken = Annotated[Token | None, BeforeValidator(_token), PlainSerializer(repr)]
