"""The faults that somebody asked for, and which request meets which; `app` and `chat_stream` act.

Those of one kind are kept in the order of creation. A request takes the first that is due.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, PlainValidator, Strict, model_validator
from pydantic.dataclasses import dataclass

from .records import ROUTES, Route
from .validity import CONFIG, AnyJson, Count, Positive, in_words

When = Literal["before", "after"]
BreakKind = Literal["cut", "end", "stall", "error", "garbage", "flood", "trickle", "split"]


def _retry_after(value: Any) -> int | str | None:
    if value is None or (type(value) is int and value >= 0):
        return value
    if isinstance(value, str) and value.isascii() and value.isprintable():
        return value
    raise ValueError(f"is a whole number of seconds, or an HTTP date, not {value!r}")


def _offsets(offsets: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(offsets)))


@in_words()
@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Reset:
    """The end of all faults, and of all that the router remembers."""


@in_words()
@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Failure:
    """An answer that replaces the router's own."""

    route: Route
    status: Annotated[int, Strict(), Field(ge=200, le=599)] = 503
    times: Positive = 1
    after: Count = 0
    when: When = "before"
    retry_after: Annotated[int | str | None, PlainValidator(_retry_after)] = None
    body: AnyJson = None


@in_words()
@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Drop:
    """A connection to close without an answer."""

    route: Route
    when: When = "before"
    times: Positive = 1
    after: Count = 0


@in_words()
@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Break:
    """A change to one chat stream."""

    kind: BreakKind
    after_events: Count = 1
    times: Positive = 1
    after: Count = 0
    when: When = "before"
    split_at: Annotated[tuple[Positive, ...], AfterValidator(_offsets)] | None = None

    @model_validator(mode="after")
    def _splits_alone(self) -> Self:
        if self.split_at is not None and self.kind != "split":
            raise ValueError(f"split_at is for kind 'split', not {self.kind!r}")
        return self


Fault = TypeVar("Fault", Failure | Drop, Break)


@plain_dataclass(slots=True)
class _Pending(Generic[Fault]):
    fault: Fault
    after: int
    times: int


class Faults:
    """The pending faults of one world."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_routes: dict[Route, list[_Pending[Failure | Drop]]]
        self._breaks: list[_Pending[Break]]
        self.reset()

    def reset(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._of_routes = {route: [] for route in ROUTES}
            self._breaks = []

    def add(self, fault: Failure | Drop | Break) -> None:
        """Have the next requests of its route, or the next streams, meet a fault."""
        with self._lock:
            if isinstance(fault, Break):
                self._breaks.append(_Pending(fault, fault.after, fault.times))
            else:
                pending = self._of_routes[fault.route]
                pending.append(_Pending(fault, fault.after, fault.times))

    def take(self, route: Route) -> Failure | Drop | None:
        """Count a request of this route, and return its fault, if any."""
        with self._lock:
            return _take(self._of_routes[route])

    def take_break(self) -> Break | None:
        """Count a chat stream, and return its fault, if any."""
        with self._lock:
            return _take(self._breaks)


def _take(pending: list[_Pending[Fault]]) -> Fault | None:
    due = None
    for one in pending:
        if one.after:
            one.after -= 1
        elif due is None:
            due = one
            one.times -= 1
    pending[:] = [one for one in pending if one.times]
    return None if due is None else due.fault
