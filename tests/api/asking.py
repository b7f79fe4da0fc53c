"""One call, asked of a router whose answers are written down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from scripted_io import (
    ID,
    KEY,
    SPEC,
    ScriptedIO,
    accepted,
    calls_of,
    deleted,
    events,
    row,
    status,
    stream,
)

from pytest_hydrasmoke import (
    HydraSmokeError,
)
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.fake.replay import AllAsked

PREFIX = "/internal/v1/smoke"


ASK: dict[str, Callable[..., Awaitable[Any]]] = {
    "provision": lambda calls, **kw: calls.provision(SPEC, KEY, **kw),
    "poll": lambda calls, **kw: calls.poll(KEY, **kw),
    "status": lambda calls, **kw: calls.status(ID, **kw),
    "chat": lambda calls, **kw: calls.chat(ID, "hello", **kw),
    "llm_events": lambda calls, **kw: calls.llm_events(ID, 900, **kw),
    "delete": lambda calls, **kw: calls.delete(ID, **kw),
}


GOOD: dict[str, Callable[[], Any]] = {
    "provision": accepted,
    "poll": row,
    "status": lambda: status("running"),
    "chat": lambda: stream(b"data: hi\n\n"),
    "llm_events": lambda: events(1, "openai"),
    "delete": deleted,
}


def ask(name: str, *steps: Any, deadline: float | None = None) -> tuple[ScriptedIO, Any]:
    """Make one call, and give what came of it: an answer, or the error."""
    io, calls = calls_of(None, **{name: steps})
    try:
        return io, drive(ASK[name](calls, deadline=deadline))
    except HydraSmokeError as error:
        return io, error


@dataclass(frozen=True)
class Answered:
    """What a recording has answered."""

    refused: bool
    uncounted: str | None = None


@dataclass
class Recorded:
    """A replay as its process asks it."""

    words: str | None = None
    known: AllAsked | None = None
    answer: Answered | None = None

    def last(self, instance_id: str) -> Answered | None:
        assert instance_id == ID
        return self.answer

    def uncounted(self, instance_id: str) -> str | None:
        assert instance_id == ID
        return self.words

    def all_counted(self, instance_id: str) -> AllAsked | None:
        assert instance_id == ID
        return self.known
