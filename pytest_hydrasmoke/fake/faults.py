"""The faults that somebody asked for, and which request meets which; `app` and `chat_stream` act.

Those of one kind are kept in the order of creation. A request takes the first that is due.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, PlainValidator, Strict, model_validator
from pydantic.dataclasses import dataclass

from .records import Route
from .validity import CONFIG, AnyJson, Count, Flag, Positive, in_words

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
    optional: Flag = False


@in_words()
@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Drop:
    """A connection to close without an answer."""

    route: Route
    when: When = "before"
    times: Positive = 1
    after: Count = 0
    optional: Flag = False


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
    optional: Flag = False

    @property
    def route(self) -> str:
        return "stream"

    @model_validator(mode="after")
    def _splits_alone(self) -> Self:
        if self.split_at is not None and self.kind != "split":
            raise ValueError(f"split_at is for kind 'split', not {self.kind!r}")
        return self


Fault: TypeAlias = Failure | Drop | Break


@plain_dataclass(slots=True)
class _Pending:
    fault: Fault
    after: int
    times: int


class Faults:
    """The pending faults of one world."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self._pending: list[_Pending] = []

    def add(self, fault: Fault) -> None:
        """Have the next requests of its route, or the next streams, meet a fault."""
        with self._lock:
            self._pending.append(_Pending(fault, fault.after, fault.times))

    def unmet(self) -> tuple[Fault, ...]:
        """Return those that no request has met, not once, and that some request should have."""
        with self._lock:
            return tuple(
                one.fault
                for one in self._pending
                if one.times == one.fault.times and not one.fault.optional
            )

    def take(self, route: Route) -> Failure | Drop | None:
        """Count a request of this route, and return its fault, if any."""
        fault = self._due(route)
        assert not isinstance(fault, Break)
        return fault

    def take_break(self) -> Break | None:
        fault = self._due("stream")
        assert fault is None or isinstance(fault, Break)
        return fault

    def _due(self, place: str) -> Fault | None:
        due = None
        with self._lock:
            for one in self._pending:
                if one.fault.route != place:
                    continue
                if one.after:
                    one.after -= 1
                elif due is None:
                    due = one.fault
                    one.times -= 1
            self._pending = [one for one in self._pending if one.times]
        return due
