"""The faults that a test or a scenario asks for, and which request meets which.

Those of one kind are kept in the order of creation. A request takes the first that is due. `app`
and `sse_events` act.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import fields
from email.utils import formatdate
from reprlib import repr as shortened
from textwrap import shorten
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, PlainValidator, Strict, model_validator
from pydantic.dataclasses import dataclass

from .records import RequestRecord, Route
from .scenario import Scenario
from .validity import CONFIG, AnyJson, Count, Flag, Positive, in_words

When = Literal["before", "after"]
BreakKind = Literal["cut", "end", "stall", "error", "garbage", "flood", "trickle", "split"]


def _retry_after(value: Any) -> int | str | None:
    if value is None or (type(value) is int and value >= 0):
        return value
    # With blanks around it, no server sends it.
    if isinstance(value, str) and re.fullmatch(r"([!-~]([ -~]*[!-~])?)?", value):
        return value
    raise ValueError(f"is a whole number of seconds, or an HTTP date, not {value!r}")


def _offsets(offsets: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(offsets)))


@in_words()
@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Fail:
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


Fault: TypeAlias = Fail | Drop | Break
FAULTS: Mapping[str, type[Fault]] = {"fail": Fail, "drop": Drop, "break_stream": Break}
"""By what `FakeRouter` calls them."""
_SHOWN = 600
"""Most characters of the requests that are shown."""


@plain_dataclass(slots=True)
class _Pending:
    fault: Fault
    after: int
    times: int


class Faults:
    """The pending faults of one world, and those that its scenario brings."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self._pending: list[_Pending] = []
            self._arrived: Counter[Route] = Counter()

    def add(self, fault: Fault) -> None:
        """Have the next requests of its route, or the next streams, meet a fault."""
        with self._lock:
            self._pending.append(_Pending(fault, fault.after, fault.times))

    def take(self, route: Route) -> Fail | Drop | None:
        """Count a request of this route, and return its fault, if any."""
        fault = self._due(route)
        assert not isinstance(fault, Break)
        return fault

    def trouble(self, route: Route) -> Fail | Drop | None:
        """Count an accepted request of this route, and return the scenario's trouble, if any."""
        scenario = self._scenario
        with self._lock:
            before = self._arrived[route]
            self._arrived[route] += 1
        spared = route not in scenario.trouble_calls or before % scenario.trouble_every
        if scenario.trouble == "none" or spared:
            return None
        if scenario.trouble in ("dropped", "lost"):
            return Drop(route=route, when="before" if scenario.trouble == "dropped" else "after")
        retry_after: int | str | None = scenario.retry_after_seconds
        if scenario.retry_after == "none":
            retry_after = None
        elif scenario.retry_after == "date":
            # The only time not from the clock: a client compares a date with its own real one.
            retry_after = formatdate(time.time() + scenario.retry_after_seconds, usegmt=True)
        status = 429 if scenario.trouble == "limited" else 503
        return Fail(route=route, status=status, retry_after=retry_after)

    def take_break(self) -> Break | None:
        """Count a stream, and return how it breaks: as somebody asked, or as its agent dies."""
        fault = self._due("stream")
        assert fault is None or isinstance(fault, Break)
        dies = self._scenario.agent_dies
        if fault is not None or dies == "never":
            return fault
        return Break(kind=dies, after_events=self._scenario.agent_dies_after)

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

    def unmet(self, came: Sequence[RequestRecord]) -> str | None:
        """Return in words which faults no request has met, not once, though one should have.

        And which requests `came` instead, with their answers. The first line has all the faults,
        since a summary shows no other. None if all were met.
        """
        with self._lock:
            missed = [it.fault for it in self._pending if it.times == it.fault.times]
        calls = [_call(fault) for fault in missed if not fault.optional]
        if not calls:
            return None
        told = Counter(_request(it) for it in came)
        seen = ", ".join(f"{what} x{count}" for what, count in told.items())
        return "\n".join(
            [
                f"no request met {', '.join(calls)}",
                f"requests that came: {shorten(seen, _SHOWN, placeholder=' ...') or 'none'}",
                "next step: correct the test, or allow this with optional=True",
            ]
        )


def _call(fault: Fault) -> str:
    """Return the call that asks for it."""
    given = [(it.name, getattr(fault, it.name), it.default) for it in fields(fault)]
    told = [f"{name}={shortened(value)}" for name, value, default in given if value != default]
    method = next(name for name, kind in FAULTS.items() if isinstance(fault, kind))
    return f"{method}({', '.join(told)})"


def _request(record: RequestRecord) -> str:
    what = record.route or f"{record.method} {record.path}"
    return f"{what} ({record.status or 'no answer'})"
