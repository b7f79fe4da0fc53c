"""A turn's content beside its text: tools, reasoning and usage, combined from its parts.

It accepts them in any order and of any content: what can't be read is kept as unknown, and noted;
nothing becomes a tool that was not called.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import NamedTuple, cast

from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._base.text import safe_line

from .meaning import (
    Key,
    Meaning,
    Part,
    Reasoning,
    TokensUsed,
    ToolArguments,
    ToolCalled,
    ToolResult,
)

_CALL = 700
"""Bytes of a call beside its content: itself, its pieces, and two index entries."""
_PIECE = 250
"""The same for a piece of reasoning."""
_POINTER = 8
_UNTOLD: tuple[int | None, ...] = (None,) * 4
_MOST_TOKENS = 1 << 53
"""A larger number is no count, and JSON readers do not agree on it."""


@public
@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the agent called in a turn."""

    name: str
    """The tool's name."""
    arguments: Mapping[str, object] | None
    """Its arguments by name; None if the runtime does not report them, or they are not a JSON
    object."""
    id: str | None
    """The runtime's id of the call, if it has one."""
    result: object
    """What the tool returned, as the runtime reports it: a text, or a JSON value; None if it is not
    reported."""
    at: float
    """Seconds from the request to the first event about the call."""


@public
@dataclass(frozen=True, slots=True)
class TokenUsage:
    """The tokens of a turn, as its stream reported them."""

    input_tokens: int
    """Tokens that the model read."""
    output_tokens: int
    """Tokens that the model wrote."""
    cached_tokens: int | None = None
    """Tokens that the model read from a cache; None if not reported. They are among the
    `input_tokens`, except with Anthropic's events, which count them apart."""
    reasoning_tokens: int | None = None
    """Tokens that the model wrote as reasoning, among the `output_tokens`; None if not reported."""

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            _sum(self.cached_tokens, other.cached_tokens),
            _sum(self.reasoning_tokens, other.reasoning_tokens),
        )


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else other + (one or 0)


@dataclass(frozen=True, slots=True)
class Passage:
    """Reasoning between two other things that the model said or did."""

    text: str
    at: float
    position: int
    """How many characters of the reply came before it."""


@dataclass(slots=True, eq=False)
class _Call:
    at: float
    position: int
    name: str | None = None
    id: str | None = None
    pieces: list[str] = field(default_factory=list[str])
    whole: object = None
    result: object = None
    again: bool = False
    """Whether it was named once more when all of its arguments had come."""


class _Piece(NamedTuple):
    text: str
    repeats: bool
    at: float
    place: tuple[int, int]
    """How many characters of the reply, and how many calls, came before it."""


class Content:
    """A turn's content beside its text, so far.

    With `most` it keeps about that many bytes at most, and of what comes later only usage.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._calls: list[_Call] = []
        self._known: dict[Key, _Call] = {}
        self._last: Key = 0
        """The key of the call that was last named."""
        self._reasoning: list[_Piece] = []
        self._said = 0
        self._told = _UNTOLD
        """Tokens read and written, cached and reasoned."""
        self._earlier = TokenUsage(0, 0)
        self._begun = self._stopped = self._goes_on = False
        """Since the last count: whether a message, or a run, has begun, whether a model has
        stopped, and whether more was said after that."""
        self.notes: list[str] = []
        """Notes on what could not be read; each once."""
        self.held = 0
        """Estimated bytes of memory in use."""
        self.calling: str | None = None
        """The tool being called, as far as known: neither text nor a result came since."""

    def add(self, known: Meaning, at: float) -> None:
        """Add what an event means, `at` seconds after the request."""
        self._begun |= known.begins
        self._goes_on |= self._stopped and known.says_more
        self._stopped |= known.finish is not None
        text = known.text
        for part in known.parts:
            if text and isinstance(part, ToolCalled):
                text = self._say(text)  # What an event says comes before what it calls.
            self._add(part, at)
        if text:
            self._say(text)

    def _say(self, text: str) -> str:
        self._said += len(text)
        self.calling = None
        return ""

    def _add(self, part: Part, at: float) -> None:
        if self._is_full and not isinstance(part, TokensUsed):
            self._note("it sent more reasoning and tool calls than are kept")
            return
        match part:
            case Reasoning(text, repeats):
                self.held += _PIECE + sys.getsizeof(text)
                place = self._said, len(self._calls)
                self._reasoning.append(_Piece(text, repeats, at, place))
            case ToolCalled():
                self._add_call(part, at)
            case ToolArguments(key, piece):
                self.held += _weight(piece)
                key = self._last if key is None else key
                before = self._known.get(key)
                if before is not None and before.again and piece.strip():
                    if before.id and piece == "".join(before.pieces):
                        return  # The same call, once more.
                    # Some number all their calls 0, and give no ids.
                    again = ToolCalled(key, before.name, before.id, new=True)
                    self._add_call(again, at)
                self._of(key, at).pieces.append(piece)
            case ToolResult(key, result):
                self.held += _weight(result)
                self.calling = None
                call = self._known.get(key)
                if call is None:
                    self._note("a tool's result came without its call")
                elif result is not None:
                    call.result = result
            case _:
                self._begin_count(part)
                counts = part.read, part.written, part.cached, part.reasoned
                self._told = tuple(map(self._count, counts, self._told))

    def _begin_count(self, part: TokensUsed) -> None:
        """Add what was told to what is told of another call of the model.

        Some tell a call's tokens again and again, and a finish reason with each.
        """
        read, written, cached, reasoned = self._told
        another = self._stopped and part.read not in (None, read)
        fell = isinstance(part.written, int) and part.written < (written or 0)
        if self._begun or (another and (self._goes_on or fell)):
            self._begun = self._stopped = self._goes_on = False
            if read is not None and written is not None:
                self._earlier += TokenUsage(read, written, cached, reasoned)
                self._told = _UNTOLD

    @property
    def _is_full(self) -> bool:
        return self._most is not None and self.held > self._most

    def _of(self, key: Key, at: float) -> _Call:
        if key not in self._known:
            self.held += _CALL
            self._known[key] = _Call(at, self._said)
            self._calls.append(self._known[key])
        return self._known[key]

    def _add_call(self, part: ToolCalled, at: float) -> None:
        self.held += sum(map(_weight, (part.name, part.id, part.arguments)))
        before = self._known.get(part.key)
        if part.new or (before is not None and _differ(before, part)):
            self._known.pop(part.key, None)
        call, self._last = self._of(part.key, at), part.key
        call.again = part.name is not None and part.name == call.name and _is_whole(call.pieces)
        call.name = part.name or call.name
        self.calling = call.name
        if part.id:
            call.id = part.id
            # A result may have the call's id as key, where its pieces have an index.
            self._known[part.id] = call
        if part.arguments or call.whole is None:
            call.whole = part.arguments

    def _count(self, count: object, before: int | None) -> int | None:
        if count is None:
            return before
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count < _MOST_TOKENS:
            self._note("the reported usage is not a number of tokens")
            return before
        return count

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def reasoning(self, reply: str) -> str:
        """Return the reasoning, without parts that only repeat some of the reply."""
        return "".join(thought.text for thought in self.thoughts(reply))

    def thoughts(self, reply: str) -> Iterator[Passage]:
        """Yield the same in pieces, each at its place."""
        own = (it for it in self._reasoning if not it.repeats or it.text.strip() not in reply)
        for (position, _), group in groupby(own, key=lambda it: it.place):
            pieces = list(group)
            yield Passage("".join([piece.text for piece in pieces]), pieces[0].at, position)

    @property
    def usage(self) -> TokenUsage | None:
        """The token usage; None where the stream did not report all of it."""
        read, written, cached, reasoned = self._told
        if read is None or written is None:
            return None
        usage = self._earlier + TokenUsage(read, written, cached, reasoned)
        if not usage.input_tokens and not usage.output_tokens:
            self._note("the reported usage is 0 tokens: the reply may be an error text")
        return usage

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls whose tool is known, in the order in which they first appeared."""
        return tuple(call for call, _ in self.placed_calls)

    @cached_property
    def placed_calls(self) -> tuple[tuple[ToolCall, int], ...]:
        """The same, each with the length of the reply before it; read it when the turn is over."""
        calls: list[tuple[ToolCall, int]] = []
        for one in self._calls:
            if one.name is None:
                self._note("a tool call came without the tool's name")
            else:
                arguments = self._arguments(one, one.name)
                call = ToolCall(one.name, arguments, one.id, one.result, one.at)
                calls.append((call, one.position))
        return tuple(calls)

    @property
    def nameless(self) -> bool:
        """Whether a tool was called that nobody knows: it may be any."""
        return any(one.name is None for one in self._calls)

    def _arguments(self, call: _Call, name: str) -> Mapping[str, object] | None:
        found = "".join(call.pieces) if call.whole in (None, "", {}) else call.whole
        if found == "":
            told = bool(call.pieces) or call.whole is not None
            return {} if told and not self._is_full else None
        if isinstance(found, str):
            try:
                found = json.loads(found, parse_constant=_refuse)
            except (ValueError, RecursionError):
                if self._is_full:
                    return None  # Some of its pieces were not kept.
                self._note(safe_line(f"the arguments of a call of {name} are not JSON"))
                return None
        if not isinstance(found, dict):
            self._note(safe_line(f"the arguments of a call of {name} are not a JSON object"))
            return None
        return cast("dict[str, object]", found)


def _is_whole(pieces: list[str]) -> bool:
    """Return whether pieces are all of a call's arguments."""
    if not pieces or not pieces[-1].rstrip().endswith("}"):
        return False
    try:
        json.loads("".join(pieces))
    except (ValueError, RecursionError):
        return False
    return True


def _differ(before: _Call, part: ToolCalled) -> bool:
    """Return whether a part is of another call: some number all of them 0, and give no ids."""
    pairs = ((before.id, part.id), (before.name, part.name))
    return any(one and other and one != other for one, other in pairs)


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def _weight(value: object) -> int:
    """Estimate the bytes that a JSON value takes, with all its members."""
    held, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        held += sys.getsizeof(one) + _POINTER
        if isinstance(one, dict):
            waiting += [*one, *one.values()]  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(one, list):
            waiting += cast("list[object]", one)
    return held
