"""An entry as a line of JSON, and back: of a journal, a ledger, or a sweep's file.

The token is masked here in a journal, and an agent's and a test's words are left out where reports
must not have them: whatever notes an event need not think of either.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Any, TypeGuard, cast, get_args, get_origin, get_type_hints

from .chat import WORDS, Thought, Tokens, ToldCall, Turn
from .events import Became, Entry, Event, Learned, Noted, OfLedger
from .states import State

SCHEMA = 4
"""Version of a line."""
KEPT_OUT = "(kept out of the report)"
_KINDS: Mapping[str, Callable[..., Event]] = {kind.__name__: kind for kind in get_args(Event)}
_PARTS: Mapping[str, Callable[..., object]] = {"tool_calls": ToldCall, "thoughts": Thought}


class OtherSchemaError(ValueError):
    """Raised by a line of another release."""

    def __init__(self, schema: int) -> None:
        super().__init__(schema)
        self.schema = schema


def encode(entry: Entry, clean: Callable[[str], str], *, replies: bool) -> bytes:
    """Return an entry's line; `clean` masks the token, and without `replies` no words are in it."""
    name = type(entry.event).__name__
    fields = entry.event._asdict()
    if not replies:
        fields |= {key: _silent(entry.event, key) for key in _said(name)}
    plain = {"at": entry.at, "of": entry.of, "is": name, **fields, "schema": SCHEMA}
    return json.dumps(_cleaned(plain, clean)).encode() + b"\n"


@cache
def _said(name: str) -> frozenset[str]:
    """Return the fields of an event that have words of an agent or a test."""
    hints = get_type_hints(_KINDS[name], include_extras=True)
    marks = {key: getattr(hint, "__metadata__", ()) for key, hint in hints.items()}
    return frozenset(key for key, marked in marks.items() if WORDS in marked)


def _silent(event: Event, key: str) -> object:
    """Return a field without words; of an error in a chat, or a tool, only that there was one."""
    value: object = getattr(event, key)
    if value is None or (isinstance(event, Noted) and not event.brief):
        return value
    if key in ("error", "tool"):
        return KEPT_OUT if key == "error" else "a tool"
    return None if isinstance(value, str) else ()


def _cleaned(value: object, clean: Callable[[str], str]) -> object:
    match value:
        case str():
            return clean(value)
        case dict():
            pairs = cast("dict[str, object]", value).items()
            return {clean(key): _cleaned(one, clean) for key, one in pairs}
        case list() | tuple():
            return [_cleaned(one, clean) for one in cast("Sequence[object]", value)]
        case _:
            return value


def decode(line: bytes) -> Entry:
    """Return the entry of a line; raises ValueError for a torn or foreign one."""
    try:
        plain: dict[str, Any] = json.loads(line)
        schema = plain.pop("schema")
        if schema != SCHEMA:
            raise OtherSchemaError(schema) if isinstance(schema, int) else ValueError
        at, of, name = float(plain.pop("at")), plain.pop("of"), plain.pop("is")
        if not isinstance(of, str | None):
            raise TypeError
        fields = {key: _read(key, value) for key, value in plain.items()}
        event = _KINDS[name](**fields)
        if isinstance(event, Became | Learned):
            event = event._replace(state=State(event.state))
        if isinstance(event, Turn) and event.usage is not None:
            event = event._replace(usage=Tokens(*event.usage))
        if isinstance(event, OfLedger):
            _check(event)  # It may be from anybody's file, and says what is to be deleted.
    except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError from error
    return Entry(at, of, event)


def _read(key: str, value: object) -> object:
    """Return a field's value with tuples for lists, which events have."""
    if not _is_list(value):
        return value
    if (part := _PARTS.get(key)) is not None:
        return tuple(part(*one) for one in value)
    return tuple(tuple(one) if _is_list(one) else one for one in value)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _check(event: Event) -> None:
    """Raise TypeError where a field is not of its kind."""
    for name, hint in _hints(type(event).__name__).items():
        options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        if not isinstance(getattr(event, name), tuple(get_origin(it) or it for it in options)):
            raise TypeError(name)


@cache
def _hints(name: str) -> Mapping[str, Any]:
    return get_type_hints(_KINDS[name])


def entries_of(text: bytes) -> Iterator[Entry]:
    """Yield the entries of whole lines; others are left out."""
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            yield decode(line)
