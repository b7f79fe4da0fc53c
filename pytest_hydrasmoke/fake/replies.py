"""Scripted replies: which message gets which answer; pure.

A reply is a mapping, in a scenario's file a table of `[[replies]]`. `Reply.of` parses one, and
raises ValueError with what is allowed.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from .records import Json
from .runtimes.frames import Said, ToolUse

_KEYS = ("match", "text", "tool_calls", "reasoning")
_TOOL_KEYS = ("name", "arguments", "result")


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """What the agent says to messages that match."""

    match: re.Pattern[str]
    texts: tuple[str, ...]
    """Used in order, one per turn, and from the start again after the last."""
    tools: tuple[ToolUse, ...]
    reasoning: str

    @classmethod
    def of(cls, where: str, value: object) -> Reply:
        """Parse a reply; `where` is its name in messages."""
        given = _table(where, value, _KEYS, needed=("match", "text"))
        return cls(
            _pattern(f"{where}.match", given["match"]),
            _texts(f"{where}.text", given["text"]),
            _tools(f"{where}.tool_calls", given.get("tool_calls", ())),
            _text(f"{where}.reasoning", given.get("reasoning", "")),
        )

    def said(self, message: str, times: int) -> Said:
        """Return what the agent says to a message, after `times` uses of this reply."""
        return Said(message, self.texts[times % len(self.texts)], self.tools, self.reasoning)


def replies(name: str, value: object) -> tuple[Mapping[str, Json], ...]:
    """Allow a list of replies, and return private copies."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name} is a list of tables, not {value!r}")
    given = cast(Sequence[object], value)
    for number, one in enumerate(given):
        Reply.of(f"{name}[{number}]", one)
    copies: list[Mapping[str, Json]] = json.loads(json.dumps(given))
    return tuple(copies)


def _table(
    where: str, value: object, keys: Sequence[str], needed: Sequence[str]
) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} is a table of {', '.join(keys)}, not {value!r}")
    given = cast(Mapping[str, object], value)
    for key in given:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, 1, 0.6)
            hint = f"did you mean {near[0]}?" if near else f"it may have {', '.join(keys)}"
            raise ValueError(f"{where} has an unknown key {key!r}; {hint}")
    for key in needed:
        if key not in given:
            raise ValueError(f"{where} has no {key}, which it needs")
    return given


def _pattern(where: str, value: object) -> re.Pattern[str]:
    if not isinstance(value, str):
        raise ValueError(f"{where} is a regular expression, as a text, not {value!r}")
    try:
        return re.compile(value)
    except (re.error, OverflowError, RecursionError) as problem:
        raise ValueError(f"{where} is no regular expression: {problem}: {value!r}") from None


def _texts(where: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_text(where, value),)
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{where} is a text, or a list of one or more, not {value!r}")
    given = cast(Sequence[object], value)
    return tuple(_text(f"{where}[{number}]", one) for number, one in enumerate(given))


def _text(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{where} is a text, not {value!r}")
    return _in_utf8(where, value)


def _in_utf8(where: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where} has half a surrogate pair, which no stream can hold") from None
    return value


def _tools(where: str, value: object) -> tuple[ToolUse, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{where} is a list of tables, not {value!r}")
    given = cast(Sequence[object], value)
    return tuple(_tool(f"{where}[{number}]", number, one) for number, one in enumerate(given))


def _tool(where: str, number: int, value: object) -> ToolUse:
    given = _table(where, value, _TOOL_KEYS, needed=("name",))
    name = _text(f"{where}.name", given["name"])
    if not name:
        raise ValueError(f"{where}.name is empty: a tool has a name")
    arguments = given.get("arguments", {})
    if not isinstance(arguments, Mapping):
        raise ValueError(f"{where}.arguments is a table of names to JSON, not {arguments!r}")
    result = _json(f"{where}.result", given.get("result"))
    fields = dict(cast(Mapping[str, Json], arguments))
    copy = cast(Mapping[str, Json], _json(f"{where}.arguments", fields))
    return ToolUse(f"call_{number + 1}", name, copy, result)


def _json(where: str, value: object) -> Json:
    """Return a private copy of a JSON value."""
    try:
        copy: Json = json.loads(text := json.dumps(value, ensure_ascii=False, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as problem:
        raise ValueError(f"{where} is no JSON: {problem}") from None
    _in_utf8(where, text)
    return copy
