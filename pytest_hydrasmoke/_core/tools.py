"""The tools that a turn called, compared with those that a test expects; pure functions."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any, Literal, NamedTuple, cast, get_args

from pytest_hydrasmoke._base.errors import ConfigError, ToolCallsError
from pytest_hydrasmoke._base.text import nearest, safe_line
from pytest_hydrasmoke._runtimes.content import ToolCall

Mode = Literal["in_order", "exact", "any_order", "at_least"]
Named = str | tuple[str, Mapping[str, object]]
_CLOSED = ("exact", "any_order")
"""Modes in which no other calls are allowed."""
_WIDE = 100
"""Most characters that are shown of a call."""


class Unseen(NamedTuple):
    """Why there may be more calls than those that are known."""

    words: str
    next_step: str


LEFT = Unseen(
    "a part of a turn does not show which tools were never called",
    "read the stream to its end: this turn was left before",
)
NAMELESS = Unseen(
    "a call without its tool's name may be of any tool",
    "see the agent's log of this turn: its runtime has not told the name",
)
UNTOLD = Unseen(
    "a call whose arguments are not known may be one that must never be made",
    "give never= the tool's name alone: no arguments were reported, or none that can be read",
)


class _Wanted(NamedTuple):
    """A call that is expected: its tool, and those of its arguments that matter."""

    name: str
    arguments: Mapping[str, object]

    def is_met(self, call: ToolCall) -> bool:
        if call.name != self.name:
            return False
        told: Mapping[str, object] = call.arguments or {}
        return all(k in told and _same(told[k], v) for k, v in self.arguments.items())

    def may_be_met(self, call: ToolCall) -> bool:
        return call.name == self.name and call.arguments is None

    def __str__(self) -> str:
        return _shown(self.name, self.arguments) if self.arguments else safe_line(self.name, _WIDE)


def check_tools(
    calls: Sequence[ToolCall],
    names: Sequence[Named],
    mode: str,
    never: Collection[Named],
    *,
    unseen: Unseen | None = None,
) -> None:
    """Compare; raises `ToolCallsError` with both sides, and `ConfigError` for wrong arguments.

    What is `unseen` may be a call of any tool.
    """
    if mode not in get_args(Mode):
        raise ConfigError(
            f"there is no mode {mode!r}", next_step=f"give one of {', '.join(get_args(Mode))}"
        )
    if isinstance(never, str):
        never = (never,)  # Its letters are no tools.
    wanted, unwanted = [*map(_wanted, names)], [*map(_wanted, never)]
    if not wanted and not unwanted and mode not in _CLOSED:
        raise ConfigError(
            "expect_tools names no tool",
            next_step='name the tools, those in never=, or give mode="exact": then there is none',
        )
    pairs = _aligned(wanted, calls) if mode in ("in_order", "exact") else _matched(wanted, calls)
    forbidden = {at for at, call in enumerate(calls) if any(it.is_met(call) for it in unwanted)}
    if mode in _CLOSED:
        forbidden |= {*range(len(calls))} - {at for _, at in pairs}
    met = {number for number, at in pairs if wanted[number].is_met(calls[at])}
    if any(it.may_be_met(call) for it in unwanted for call in calls):
        unseen = UNTOLD
    unseen = None if forbidden else unseen
    unknown = unseen if unwanted or mode in _CLOSED else None
    if len(met) == len(wanted) and not forbidden and unknown is None:
        return
    error = ToolCallsError(
        unknown.words if unknown else "the agent called other tools than expected",
        expected=_in_words(wanted, mode, unwanted),
        next_step=unseen.next_step if unseen else _advice(wanted, calls, met, pairs),
    )
    error.turn = _table(wanted, calls, pairs, forbidden) if calls else "called no tool"
    raise error


def _wanted(one: object) -> _Wanted:
    match one:
        case str():
            return _Wanted(one, {})
        case (str() as name, Mapping()):
            return _Wanted(name, cast("Mapping[str, object]", one[1]))
        case _:
            raise ConfigError(
                f"expect_tools can't look for {one!r}",
                next_step="give a tool's name, or (name, {argument: value})",
            )


def _same(told: object, value: object) -> bool:
    """Return whether JSON values are equal: `true` is not 1, and a tuple is a list."""
    match told, value:
        case bool(), _:
            return told is value
        case _, bool():
            return False
        case dict(), Mapping():
            mine, its = cast("dict[str, object]", told), cast("Mapping[str, object]", value)
            return mine.keys() == its.keys() and all(_same(mine[key], its[key]) for key in mine)
        case list(), list() | tuple():
            ours, theirs = cast("list[object]", told), cast("Sequence[object]", value)
            return len(ours) == len(theirs) and all(map(_same, ours, theirs))
        case _:
            return told == value


Pairs = list[tuple[int, int]]
"""Which call is shown beside which expected one, by their numbers."""


def _aligned(wanted: Sequence[_Wanted], calls: Sequence[ToolCall]) -> Pairs:
    """Pair as many as can be in both orders: first those that are met, then those of a name."""
    best: list[list[tuple[int, Pairs]]] = [[(0, [])] * (len(calls) + 1)]
    for number, one in enumerate(wanted):
        row = [best[-1][0]]
        for at, call in enumerate(calls):
            score, pairs = max(best[-1][at + 1], row[-1], key=itemgetter(0))
            if one.name == call.name:
                # One that is met counts more than any number that only have the name.
                worth = len(wanted) + 1 if one.is_met(call) else 1
                before, earlier = best[-1][at]
                if before + worth > score:
                    score, pairs = before + worth, [*earlier, (number, at)]
            row.append((score, pairs))
        best.append(row)
    return best[-1][-1][1]


def _matched(wanted: Sequence[_Wanted], calls: Sequence[ToolCall]) -> Pairs:
    """Pair as many as can be in any order, in the same way."""
    taken: dict[int, int] = {}

    def find(number: int, seen: set[int]) -> bool:
        for at, call in enumerate(calls):
            if at not in seen and wanted[number].is_met(call):
                seen.add(at)
                if at not in taken or find(taken[at], seen):
                    taken[at] = number
                    return True
        return False

    left = [number for number in range(len(wanted)) if not find(number, set())]
    for number in left:
        free = (at for at, it in enumerate(calls) if it.name == wanted[number].name)
        at = next((at for at in free if at not in taken), None)
        if at is not None:
            taken[at] = number
    return [(number, at) for at, number in sorted(taken.items())]


def _table(
    wanted: Sequence[_Wanted], calls: Sequence[ToolCall], pairs: Pairs, forbidden: set[int]
) -> str:
    """Return the expected calls beside those that were made, in the order of these."""
    beside = {at: number for number, at in pairs}
    rows: list[tuple[str, str, str]] = []
    waiting = [number for number in range(len(wanted)) if number not in beside.values()]
    for at, call in enumerate(calls):
        number = beside.get(at)
        while waiting and number is not None and waiting[0] < number:
            rows.append(("-", str(wanted[waiting.pop(0)]), ""))
        made = _shown(call.name, call.arguments)
        if number is None:
            rows.append(("+" if at in forbidden else " ", "", made))
        else:
            fits = wanted[number].is_met(call) and at not in forbidden
            rows.append((" " if fits else "!", str(wanted[number]), made))
    rows += [("-", str(wanted[number]), "") for number in waiting]
    width = max(len(row[1]) for row in [("", "expected", ""), *rows])
    lines = [f"    {'expected':<{width}}  called"]
    lines += [f"  {mark} {left:<{width}}  {right}".rstrip() for mark, left, right in rows]
    return "\n".join(["the tools of the turn (- missing, + not wanted, ! not as expected)", *lines])


def _shown(name: str, arguments: Mapping[str, object] | None) -> str:
    if arguments is None:
        return safe_line(f"{name}(arguments not told)", _WIDE)
    named = (f"{key}={_as_json(value)}" for key, value in arguments.items())
    return safe_line(f"{name}({', '.join(named)})", _WIDE)


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return "..."  # A test may expect what JSON can't hold: it is never met.


def _in_words(wanted: Sequence[_Wanted], mode: str, never: Sequence[_Wanted]) -> str:
    unwanted = [f"never {one}" for one in never]
    if not wanted:
        return "; ".join([*(["no tool at all"] if mode in _CLOSED else []), *unwanted])
    named = ", ".join(map(str, wanted))
    among = {
        "in_order": f"{named}, in this order, others between them allowed",
        "exact": f"{named}, in this order, and no others",
        "any_order": f"{named}, in any order, and no others",
        "at_least": f"{named}, among others",
    }
    return "; ".join([among[mode], *unwanted])


def _advice(
    wanted: Sequence[_Wanted], calls: Sequence[ToolCall], met: set[int], pairs: Pairs
) -> str:
    """Return what to look at first: a name that no call has is often a misspelled one."""
    called, beside = {call.name for call in calls}, dict(pairs)
    alone = [call for at, call in enumerate(calls) if at not in beside.values()]
    for number, one in enumerate(wanted):
        if number in met:
            continue
        if number in beside and calls[beside[number]].arguments is None:
            return "expect its name alone: this agent's runtime does not report arguments"
        if number in beside:
            return f"compare the arguments of {safe_line(one.name)}: a text is no number"
        if any(map(one.is_met, alone)):
            return 'see whether its order matters: mode="any_order" and "at_least" take any'
        near = None if one.name in called else nearest(one.name, [*called])
        if near is not None:
            return f"see whether {safe_line(near)!r} is the tool that you mean"
        if not calls:
            return "see whether this agent's runtime reports its tools, and the agent's log"
    return "see the agent's log of this turn"
