"""An entry as a line of JSON, and back.

The token is masked here, and an agent's and a test's words are left out here where reports must not
have them: whatever writes an event need not think of either.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard, cast, get_args

from .events import Became, Entry, Event, Noted, Thought, Tokens, Tool, Turn
from .states import State

KEPT_OUT = "(kept out of the report)"
_KINDS: Mapping[str, Callable[..., Event]] = {kind.__name__: kind for kind in get_args(Event)}
_SAID = frozenset({"message", "text", "finish_reason", "tool_calls", "thoughts", "notes", "error"})
"""Fields with words of an agent or a test."""
_WITH_WORDS = frozenset({"FailedTest", "Failed", "TurnBegan", "Turn", "Noted"})
_PARTS: Mapping[str, Callable[..., object]] = {"tool_calls": Tool, "thoughts": Thought}


def encode(entry: Entry, clean: Callable[[str], str], *, replies: bool) -> bytes:
    """Return an entry's line; `clean` masks the token, and without `replies` no words are in it."""
    name = type(entry.event).__name__
    fields = entry.event._asdict()
    if not replies and name in _WITH_WORDS:
        fields = {key: _silent(entry.event, key, value) for key, value in fields.items()}
    plain = {"at": entry.at, "of": entry.of, "is": name, **fields}
    return json.dumps(_cleaned(plain, clean)).encode() + b"\n"


def _silent(event: Event, key: str, value: object) -> object:
    """Return a field without words; of an error in a chat, only that there was one."""
    if key not in _SAID or value is None or (isinstance(event, Noted) and not event.brief):
        return value
    if key == "error":
        return KEPT_OUT
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


def decode(line: bytes) -> Entry | None:
    """Return the entry of a line; None for a torn one, or one of another release."""
    try:
        plain: dict[str, Any] = json.loads(line)
        at, of, name = float(plain.pop("at")), plain.pop("of"), plain.pop("is")
        fields = {key: _read(key, value) for key, value in plain.items()}
        event = _KINDS[name](**fields)
        if isinstance(event, Became):
            event = event._replace(state=State(event.state))
        if isinstance(event, Turn) and event.usage is not None:
            event = event._replace(usage=Tokens(*event.usage))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
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
