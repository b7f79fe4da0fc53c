"""One call, asked of a router whose answers are written down, and what each status code means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import scripted_io as io

from pytest_hydrasmoke import HydraSmokeError
from pytest_hydrasmoke._transport.protocol import CallName, Request, drive
from pytest_hydrasmoke.fake.replay import AllAsked

ASK: dict[str, Callable[..., Awaitable[Any]]] = {
    "provision": lambda calls, **kw: calls.provision(io.SPEC, io.KEY, **kw),
    "poll": lambda calls, **kw: calls.poll(io.KEY, **kw),
    "status": lambda calls, **kw: calls.status(io.ID, **kw),
    "chat": lambda calls, **kw: calls.chat(io.ID, "hello", **kw),
    "llm_events": lambda calls, **kw: calls.llm_events(io.ID, 900, **kw),
    "delete": lambda calls, **kw: calls.delete(io.ID, **kw),
}
GOOD: dict[str, Callable[[], Any]] = {
    "provision": io.accepted,
    "poll": io.row,
    "status": lambda: io.status("running"),
    "chat": lambda: io.stream(b"data: hi\n\n"),
    "llm_events": lambda: io.events(1, "openai"),
    "delete": io.deleted,
}
CODES = (200, 201, 202, 204, 206, 301, 302, 307, 400, 401, 403, 404, 405, 408, 409, 410, 415, 422)
CODES += (425, 429, 499, 500, 501, 502, 503, 504, 599)
TRANSIENT = {408, 429, 500, 502, 503, 504}
ANSWERS = {
    "provision": {200, 201, 202},
    **{name: {200} for name in ("poll", "status", "chat", "llm_events")},
    "delete": {200, 202, 204, 404, 409, 410},
}
AGAIN: dict[str, set[int]] = dict.fromkeys(ANSWERS, TRANSIENT) | {"chat": {409, 425, 429, 503}}


def request(call: CallName = "status") -> Request:
    return Request(call, "GET", "/x")


def ask(name: str, *steps: Any, deadline: float | None = None) -> tuple[io.ScriptedIO, Any]:
    """Make one call, and give what came of it: an answer, or the error."""
    asked, calls = io.calls_of(None, **{name: steps})
    try:
        return asked, drive(ASK[name](calls, deadline=deadline))
    except HydraSmokeError as error:
        return asked, error


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
        assert instance_id == io.ID
        return self.answer

    def uncounted(self, instance_id: str) -> str | None:
        assert instance_id == io.ID
        return self.words

    def all_counted(self, instance_id: str) -> AllAsked | None:
        assert instance_id == io.ID
        return self.known
