"""What a turn has said beside its text: tools, reasoning and usage, put together from its events.

It takes parts as they come, whatever is in them: what can't be read is kept as not known, and
noted; nothing becomes a tool that was not called.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._base.text import safe_line

from .parts import Key, Part, Reasoning, ToolArguments, ToolCalled, ToolResult

_MOST_TOKENS = 1 << 53
"""More than that is no count, and no number that JSON's readers agree on."""


@public
@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the agent has called in a turn."""

    name: str
    arguments: Mapping[str, object] | None
    """None where the runtime does not tell them, or they are no JSON object."""
    id: str | None
    """The runtime's own, if it has one."""
    result: object
    """What the tool gave back; None where that is not told."""
    at: float
    """Seconds from the request to the event that told of it first."""


@public
@dataclass(frozen=True, slots=True)
class TokenUsage:
    """The tokens of a turn, as its stream told them."""

    input_tokens: int
    output_tokens: int


@dataclass(slots=True, eq=False)
class _Call:
    at: float
    name: str | None = None
    id: str | None = None
    pieces: list[str] = field(default_factory=list[str])
    whole: object = None
    result: object = None


class Content:
    """What a turn has said beside its text, so far."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._known: dict[Key, _Call] = {}
        self._reasoning: list[Reasoning] = []
        self._read: int | None = None
        self._written: int | None = None
        self._earlier = (0, 0)
        self.notes: list[str] = []
        """What could not be read; each once."""
        self.held = 0
        """Bytes of memory that it takes, by estimate."""

    def add(self, part: Part, at: float) -> None:
        """Take in what an event has said, `at` seconds after the request."""
        self.held += sys.getsizeof(part) + _size(part)
        match part:
            case Reasoning():
                self._reasoning.append(part)
            case ToolCalled():
                self._add_call(part, at)
            case ToolArguments(key, piece):
                self._of(key, at).pieces.append(piece)
            case ToolResult(key, result):
                call = self._known.get(key)
                if call is None:
                    self._note("a tool's result came without its call")
                else:
                    call.result = result
            case _:
                if part.new and (before := self.usage) is not None:
                    self._earlier = before.input_tokens, before.output_tokens
                    self._read = self._written = None
                self._read = self._count(part.read, self._read)
                self._written = self._count(part.written, self._written)

    def _of(self, key: Key, at: float) -> _Call:
        if key not in self._known:
            self._known[key] = _Call(at)
            self._calls.append(self._known[key])
        return self._known[key]

    def _add_call(self, part: ToolCalled, at: float) -> None:
        before = self._known.get(part.key)
        another = before is not None and None not in (before.id, part.id) and before.id != part.id
        if part.new or another:
            self._known.pop(part.key, None)
        call = self._of(part.key, at)
        call.name = part.name or call.name
        if part.id:
            call.id = part.id
            # A result may name the call by its id, where its pieces have an index.
            self._known[part.id] = call
        if part.arguments is not None:
            call.whole = part.arguments

    def _count(self, told: object, before: int | None) -> int | None:
        if told is None:
            return before
        if isinstance(told, bool) or not isinstance(told, int) or not 0 <= told < _MOST_TOKENS:
            self._note("usage is told that is no number of tokens")
            return before
        return told

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def reasoning(self, reply: str) -> str:
        """Return what the model thought; what only repeats some of the reply is none."""
        return "".join(
            part.text
            for part in self._reasoning
            if not (part.repeats and part.text.strip() in reply)
        )

    @property
    def usage(self) -> TokenUsage | None:
        """None where the stream has not told all of it."""
        if self._read is None or self._written is None:
            return None
        usage = TokenUsage(self._earlier[0] + self._read, self._earlier[1] + self._written)
        if usage == TokenUsage(0, 0):
            self._note("the usage is told as no tokens: the reply may be an error, of no model")
        return usage

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls whose tool is known, in the order in which they were told first."""
        calls: list[ToolCall] = []
        for call in self._calls:
            if call.name is None:
                self._note("a tool call came without the tool's name")
            else:
                arguments = self._arguments(call, call.name)
                calls.append(ToolCall(call.name, arguments, call.id, call.result, call.at))
        return tuple(calls)

    def _arguments(self, call: _Call, name: str) -> Mapping[str, object] | None:
        told = "".join(call.pieces) if call.whole is None else call.whole
        if told == "":
            return None
        if isinstance(told, str):
            try:
                told = json.loads(told, parse_constant=_refuse)
            except (ValueError, RecursionError):
                self._note(safe_line(f"the arguments of a call of {name} are no JSON"))
                return None
        if not isinstance(told, dict):
            self._note(safe_line(f"the arguments of a call of {name} are no object"))
            return None
        return cast("dict[str, object]", told)


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def _size(part: Part) -> int:
    match part:
        case Reasoning(text) | ToolArguments(_, text):
            return sys.getsizeof(text)
        case ToolCalled(arguments=value) | ToolResult(result=value):
            return 0 if value is None else _estimate(value)
        case _:
            return 0


def _estimate(value: object) -> int:
    """Estimate what a JSON value takes: some four times as much as its JSON."""
    try:
        return 4 * len(json.dumps(value, ensure_ascii=False))
    except (RecursionError, ValueError):
        return 1 << 20
