"""Keep count of pending faults; `app` and `chat_stream` act on them.

Rules of one kind are kept in the order of creation. A request takes the first that is due.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, cast, get_args

from .records import ROUTES, Json, Route

When = Literal["before", "after"]
BreakKind = Literal["cut", "end", "stall", "error", "garbage", "flood", "trickle", "split"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that replaces the router's own."""

    when: When
    status: int
    retry_after: int | str | None
    body: Json


@dataclass(frozen=True, slots=True)
class Drop:
    """A connection to close without an answer."""

    when: When


@dataclass(frozen=True, slots=True)
class Break:
    """A change to one chat stream."""

    kind: BreakKind
    after_events: int
    split_at: tuple[int, ...] | None
    when: When = "before"


_Fault = TypeVar("_Fault")


@dataclass(slots=True)
class _Rule(Generic[_Fault]):
    fault: _Fault
    after: int
    times: int


class Faults:
    """The pending faults of one world."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: dict[Route, list[_Rule[Failure | Drop]]] = {route: [] for route in ROUTES}
        self._breaks: list[_Rule[Break]] = []

    def reset(self) -> None:
        """Remove all faults."""
        with self._lock:
            for rules in self._rules.values():
                rules.clear()
            self._breaks.clear()

    def fail(
        self,
        route: Route,
        *,
        status: int = 503,
        times: int = 1,
        after: int = 0,
        when: When = "before",
        retry_after: int | str | None = None,
        body: Json = None,
    ) -> None:
        """See `FakeRouter.fail`."""
        _check_among("status", status, range(200, 600), "a number from 200 to 599")
        if retry_after is not None and not (
            isinstance(retry_after, str) and retry_after.isascii() and retry_after.isprintable()
        ):
            _check_count("retry_after", retry_after, least=0)
        try:
            json.dumps(body, allow_nan=False)
        except (TypeError, ValueError) as problem:
            raise ValueError(f"body is no JSON: {problem}") from None
        self._add(route, Failure(when, status, retry_after, body), after, times)

    def drop(self, route: Route, *, when: When = "before", times: int = 1, after: int = 0) -> None:
        """See `FakeRouter.drop`."""
        self._add(route, Drop(when), after, times)

    def break_stream(
        self,
        kind: BreakKind,
        *,
        after_events: int = 1,
        times: int = 1,
        after: int = 0,
        when: When = "before",
        split_at: Sequence[int] | None = None,
    ) -> None:
        """See `FakeRouter.break_stream`."""
        _check_word("kind", kind, get_args(BreakKind))
        _check_count("after_events", after_events, least=0)
        _check_rule(when, after, times)
        offsets = None if split_at is None else _offsets(split_at)
        if offsets is not None and kind != "split":
            raise ValueError(f"split_at is for kind 'split', not {kind!r}")
        with self._lock:
            self._breaks.append(_Rule(Break(kind, after_events, offsets, when), after, times))

    def take(self, route: Route) -> Failure | Drop | None:
        """Count a request of this route, and return its fault, if any."""
        with self._lock:
            return _take(self._rules[route])

    def take_break(self) -> Break | None:
        """Count a chat stream, and return its fault, if any."""
        with self._lock:
            return _take(self._breaks)

    def _add(self, route: Route, fault: Failure | Drop, after: int, times: int) -> None:
        _check_word("route", route, ROUTES)
        _check_rule(fault.when, after, times)
        with self._lock:
            self._rules[route].append(_Rule(fault, after, times))


def _take(rules: list[_Rule[_Fault]]) -> _Fault | None:
    due = None
    for rule in rules:
        if rule.after:
            rule.after -= 1
        elif due is None:
            due = rule
            rule.times -= 1
    rules[:] = [rule for rule in rules if rule.times]
    return None if due is None else due.fault


def _check_rule(when: object, after: object, times: object) -> None:
    _check_word("when", when, get_args(When))
    _check_count("after", after, least=0)
    _check_count("times", times, least=1)


def _check_word(name: str, value: object, good: Sequence[str]) -> None:
    if value not in good:
        raise ValueError(f"{name} is {value!r}; it may be {', '.join(map(repr, good))}")


def _check_count(name: str, value: object, *, least: int) -> None:
    if type(value) is not int or value < least:
        raise ValueError(f"{name} is a whole number, {least} or more, not {value!r}")


def _offsets(value: object) -> tuple[int, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise ValueError(f"split_at is a list of offsets, not {value!r}")
    offsets = cast(Sequence[int], value)
    for offset in offsets:
        _check_count("an offset of split_at", offset, least=1)
    return tuple(sorted(set(offsets)))


def _check_among(name: str, value: object, good: range, say: str) -> None:
    if type(value) is not int or value not in good:
        raise ValueError(f"{name} is {say}, not {value!r}")
