"""A router's answers written down beforehand, and time that passes only when somebody waits.

`ScriptedIO` is an `IO` as the real ones are: a request or a read whose deadline has come fails at
once, one that hangs fails at its deadline, and both say that they are late. What waits for an
answer ends once a signal's patience does, if there was one (`hurried`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.errors import TransportError, TransportTimeoutError
from pytest_hydrasmoke._base.evidence import Absent, Form, form_of
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.policy import KnownRouter, Policy
from pytest_hydrasmoke._core.stage import Keeper
from pytest_hydrasmoke._journal.events import Became, Doing, Event
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.links import Link
from pytest_hydrasmoke._transport.protocol import Answer, Request, Work

T = TypeVar("T")

ID = "0b0e9d5e-5d3c-4a64-9f0e-3a1b8f6d2c11"
OTHER_ID = "7c1d2e3f-4a5b-4c6d-8e7f-9a0b1c2d3e4f"
KEY = "night-0"
SPEC = InstanceSpec(manifest_id="hermes-basic", region_id="eu-central", tier_id="tier-1")
START = 5000.0
TOO_MANY_REQUESTS = 2000
AS_ASKED = -1


def reply(status: int, body: object = None, **headers: str) -> Answer:
    """Make an answer: bytes as they are, anything else as JSON, None without a body."""
    if body is None:
        content = b""
    else:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): text for name, text in headers.items()}, content)


def refused() -> TransportError:
    return TransportError("no connection to https://router.example", reached=False)


def lost() -> TransportError:
    return TransportError("the answer was lost (reset)", reached=True)


def late() -> TransportError:
    return TransportTimeoutError("no answer in time", reached=True)


@dataclass(frozen=True)
class Took:
    """Let seconds pass before an outcome, or up to the deadline if that comes first."""

    seconds: float
    outcome: Any = b""


HANG = Took(1e9)


@dataclass(frozen=True)
class AtDeadline:
    """Let an answer be complete just as its deadline comes."""

    outcome: Any


@dataclass
class ScriptedStream:
    """A stream whose chunks, pauses and faults are written down; it ends after the last one."""

    status: int
    headers: Mapping[str, str]
    steps: list[Any]
    io: ScriptedIO = field(init=False, repr=False)
    closed: int = 0
    deadlines: list[float] = field(default_factory=list)

    async def read(self, deadline: float) -> bytes:
        assert not self.closed, "read after close"
        self.deadlines.append(deadline)
        step = self.steps.pop(0) if self.steps else b""
        chunk: bytes = self.io.happen(step, deadline)
        return chunk

    async def close(self) -> None:
        self.closed += 1


def stream(
    *steps: Any, status: int = 200, kind: str = "text/event-stream", **headers: str
) -> ScriptedStream:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return ScriptedStream(status, {"content-type": kind, **named}, list(steps))


@dataclass(frozen=True)
class Sent:
    at: float
    request: Request
    deadline: float


class ScriptedIO:
    """Answer each call with the next step written down for it; `...` repeats the step before it.

    A step is a `Answer`, a `ScriptedStream` (chat), an error, a `Took` or `AtDeadline` round
    one of those, or a function of the request that gives one. Requests for what does not exist are
    answered as a right router does, or as `controls` says, and are not among those `sent`.
    """

    link = Link("https://router.example", None)

    def __init__(self, **scripts: Sequence[Any]) -> None:
        self.time = START
        self.scripts: dict[str, list[Any]] = {name: list(steps) for name, steps in scripts.items()}
        self.sent: list[Sent] = []
        self.controls = {**CONTROLS}
        """What is answered for what does not exist, by kinds."""
        self.controls_sent: list[Sent] = []
        self.sleeps: list[float] = []
        self.graces: list[float] = []
        self.hurried = math.inf
        self.opened: list[ScriptedStream] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        assert seconds < 1e6, f"sleeps for {seconds} s"
        self.sleeps.append(seconds)
        self.time += max(seconds, 0.0)

    async def send(self, request: Request, deadline: float) -> Answer:
        outcome = self._next(request, deadline)
        assert isinstance(outcome, Answer), outcome
        if request.call != "llm_events":
            return outcome
        asked = request.path.partition("window_seconds=")[2] or "900"
        body = outcome.body.replace(
            b'"window_seconds": %d' % AS_ASKED, f'"window_seconds": {asked}'.encode()
        )
        return replace(outcome, body=body)

    async def open(self, request: Request, deadline: float) -> ScriptedStream:
        outcome = self._next(request, deadline)
        if isinstance(outcome, Answer):
            headers = {"content-type": "application/json", **outcome.headers}
            outcome = ScriptedStream(outcome.status, headers, [outcome.body])
        assert isinstance(outcome, ScriptedStream), outcome
        outcome.io = self
        self.opened.append(outcome)
        return outcome

    def cleanup_deadline(self) -> float:
        return self.hurried

    async def grace(self, seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self.graces.append(seconds)
        return await work()

    async def gather(
        self, works: Sequence[Work], *, at_once: int | None = None, together: bool = False
    ) -> dict[int, Exception]:
        raise NotImplementedError

    def happen(self, step: Any, deadline: float) -> Any:
        deadline = min(deadline, self.hurried)
        if self.time >= deadline:
            raise late()
        if isinstance(step, Took):
            self.time = min(self.time + step.seconds, deadline)
            if self.time >= deadline:
                raise late()
            step = step.outcome
        if isinstance(step, AtDeadline):
            self.time = deadline
            step = step.outcome
        if isinstance(step, BaseException):
            raise step
        return step

    def _next(self, request: Request, deadline: float) -> Any:
        if request.call == "missing" and "missing" not in self.scripts:
            self.controls_sent.append(Sent(self.time, request, deadline))
            return self.happen(self.controls[kind_of(request)], deadline)
        self.sent.append(Sent(self.time, request, deadline))
        assert len(self.sent) < TOO_MANY_REQUESTS, "asks without end"
        if self.time >= deadline:
            raise late()
        steps = self.scripts.get(request.call, [])
        assert steps, f"nothing is written down for {request}"
        step = steps[0] if steps[1:2] == [...] else steps.pop(0)
        if callable(step) and not isinstance(step, (ScriptedStream, BaseException)):
            step = step(request)
        return self.happen(step, deadline)

    def calls_sent(self, name: str | None = None) -> list[str]:
        """Name the calls, in the order in which they were sent."""
        return [it.request.call for it in self.sent if name in (None, it.request.call)]

    @property
    def waited(self) -> float:
        return self.time - START


def instance(
    *,
    state: State = State.CLAIMED,
    id: str | None = None,  # noqa: A002
    policy: Policy | None = None,
) -> Instance:
    born = None if state is State.CLAIMED else START
    keeper = Keeper(policy or policy_of())
    return Instance(SPEC, key=KEY, id=id, state=state, born=born, keeper=keeper)


def attached() -> Instance:
    return Instance(None, id=ID, attached=True, keeper=Keeper(policy_of()))


@dataclass
class Listening(Keeper):
    """Hands what an instance says, or asks, to functions."""

    state: Callable[[Became], object] = lambda event: None
    doing: Callable[[Doing], object] = lambda event: None
    allow: Callable[[], object] = lambda: None
    policy: Policy = field(default_factory=lambda: policy_of())

    def note(self, instance: Instance, at: float, event: Event) -> None:
        if isinstance(event, Became):
            self.state(event)
        if isinstance(event, Doing):
            self.doing(event)

    def permit(self, instance: Instance) -> None:
        self.allow()


def calls_of(it: Instance | None = None, **scripts: Sequence[Any]) -> tuple[ScriptedIO, Calls]:
    io = ScriptedIO(**scripts)
    return io, Calls(io, it)


def accepted(instance_id: object = ID, *, status: int = 200, key: str = KEY) -> Answer:
    """Answer to provision; `...` leaves the id out."""
    body = {"idempotency_key": key, "instance_id": instance_id, "task_id": "task-1"}
    if instance_id is ...:
        del body["instance_id"]
    return reply(status, body)


def row(status: str | None = "queued", instance_id: str = ID) -> Answer:
    return reply(200, {"found": True, "instance_id": instance_id, "status": status})


NO_ROW = reply(200, {"found": False, "instance_id": None, "status": None})


def status(word: str, hostname: str | None = None) -> Answer:
    return reply(200, {"id": ID, "hostname": hostname, "status": word})


def deleted(word: str = "deleting", code: int = 200) -> Answer:
    return reply(code, {"instance_id": ID, "status": word})


def events(count: int, *providers: str, window: int = AS_ASKED) -> Answer:
    """Make an answer to llm-events; `ScriptedIO` fills in a window that is as it was asked for."""
    body = {"instance_id": ID, "count": count, "providers": providers, "window_seconds": window}
    return reply(200, body)


NOT_FOUND = reply(404, {"detail": "Instance not found"})
MALFORMED = reply(422, {"detail": [{"loc": ["path", "instance_id"], "msg": "m", "type": "t"}]})
NO_SUCH_PATH = reply(404, {"detail": "Not Found"})
"""What any FastAPI application answers where it has nothing: in the same form."""


CONTROLS: dict[str, Any] = {
    "id": NOT_FOUND,
    "key": NO_ROW,
    "malformed": MALFORMED,
    "path": NO_SUCH_PATH,
}


def kind_of(request: Request) -> str:
    """Return of which kind that is which does not exist."""
    path = request.path
    for kind, part in {"key": "/by-key/", "malformed": "/not-a-", "path": "/no-such-"}.items():
        if part in path:
            return kind
    return "id"


def form(answer: Answer, asked: str = "") -> Form:
    """Return the form of an answer."""
    return form_of(answer.status, answer.headers.get("content-type", ""), answer.body, asked)


def policy_of(**more: Any) -> Policy:
    """Return the rules of a run whose router answers for an unknown key with success."""
    return Policy(router=KnownRouter(Absent()), **more)
