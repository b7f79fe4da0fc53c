"""The six calls of a `Truth`, over HTTP."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, unquote

import anyio
from gates import body_of, serving
from lies import Lie
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from truth import SOON, TOKEN, Clock, Machine, Manner, Truth

from pytest_hydrasmoke.fake.chat_stream import hang_up

PREFIX = "/internal/v1/smoke"
_ONE = "/instances/([^/]+)"
CALLS = {
    ("POST", "/provision"): "provision",
    ("GET", "/instances/by-key/([^/]+)"): "poll",
    ("GET", _ONE): "status",
    ("DELETE", _ONE): "delete",
    ("POST", f"{_ONE}/chat"): "chat",
    ("GET", f"{_ONE}/llm-events"): "llm_events",
}
LIMITS = {"idempotency_key": 255, "manifest_id": 100, "region_id": 80, "tier_id": 80}
REPLY = "".join(
    f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta, 'finish_reason': why}]})}\n\n"
    for delta, why in (({"content": "I am ready."}, None), ({}, "stop"))
)


class AnswerError(Exception):
    """An answer in the middle of a call."""

    def __init__(self, code: int, detail: Any, **headers: str) -> None:
        self.response = JSONResponse({"detail": detail}, code, headers)


@dataclass(frozen=True)
class Ask:
    """A request, as far as the router cares: `path` is that of a call, without the prefix."""

    method: str
    path: str
    query: str = ""
    authorization: str = ""
    raw: bytes = b""


class TrueRouter:
    """The application; `truth` is what is so, and this what is said."""

    token = TOKEN
    url = ""
    """Where it is served."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self._lies: Sequence[Lie] = ()
        self._span: tuple[float, float] = (0, 0)

    def lie(self, lies: Sequence[Lie], after: int = 0, times: float = math.inf) -> None:
        """Let these answer from now on; the next `after` requests are spared."""
        start = len(self.truth.requests) + after
        self._lies, self._span = lies, (start, start + times)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope["root_path"]).removeprefix(PREFIX)
        given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        query, raw = scope["query_string"].decode(), await body_of(receive)
        if self.truth.manner.takes:
            await anyio.sleep(self.truth.manner.takes)
        answer = self.answer(Ask(scope["method"], path, query, given, raw))
        await (hang_up if answer is None else answer)(scope, receive, send)

    def answer(self, ask: Ask) -> Response | None:
        """Return what is answered, None where the connection is lost instead."""
        call, about = _call_of(ask)
        with self.truth.lock:
            number, body = len(self.truth.requests), _parsed(ask.raw)
            self.truth.note(call, about or str(body.get("idempotency_key")))
            lied = self._span[0] <= number < self._span[1]
            named = "malformed" if call == "status" and not is_uuid(about) else call
            lie = next((it for it in self._lies if lied and named in it.calls), None)
            if lie is None or lie.carried_out:
                answer = self._own_answer(call, about, body, ask)
            if lie is not None:
                return lie.response() if lie.status else None
            return answer

    def _own_answer(self, call: str, about: str, body: dict[str, Any], ask: Ask) -> Response:
        try:
            return self._answer(call, about, body, ask)
        except AnswerError as error:
            return error.response

    def _answer(self, call: str, about: str, body: dict[str, Any], ask: Ask) -> Response:
        if call == "other":
            raise AnswerError(404, "Not Found")
        if self.truth.is_out():
            raise AnswerError(503, "Service Unavailable")
        if self.truth.is_busy():
            raise AnswerError(429, "Too Many Requests", **{"retry-after": "1"})
        faults = list(_faults(call, about, body, ask.query))
        tenants, owner = self.truth.manner.tenants, ask.authorization
        known = owner == f"Bearer {TOKEN}" or tenants
        if call == "provision":
            key = str(body.get("idempotency_key"))
            answer = self._provision(key, faults, known=known)
            made = self.truth.named(key)
            if made is not None:
                made.owner = made.owner or owner
            return answer
        if faults:
            raise AnswerError(422, faults)
        self._admit(known)
        if call == "poll":
            return self._poll(about, owner)
        machine = next((it for it in self.truth.machines if it.id == str(uuid.UUID(about))), None)
        if machine is None or (tenants and machine.owner != owner):
            raise AnswerError(404, "Instance not found")
        if call == "delete":
            return self._delete(machine)
        machine.looks += call == "status"
        found, word = self.truth.seen(machine, "status")
        if not found:
            raise AnswerError(404, "Instance not found")
        if call == "status":
            hostname = f"smoke-{machine.id[:8]}.example" if word == "running" else None
            return JSONResponse({"id": machine.id, "hostname": hostname, "status": word})
        return self._chat(machine, word) if call == "chat" else self._count(machine, ask.query)

    def _admit(self, known: bool) -> None:
        manner = self.truth.manner
        if not known:
            code = manner.refuses if manner.whom == "strangers" and manner.refuses else 401
            raise AnswerError(code, "Invalid or missing token")

    def _provision(self, key: str, faults: list[Any], *, known: bool) -> Response:
        manner = self.truth.manner
        whom: Literal["all", "strangers", "invalid"] = (
            "invalid" if faults else "all" if known else "strangers"
        )
        refused_and_made = manner.refuses and whom == manner.whom
        if refused_and_made:
            self.truth.provision(key, SOON)
        if faults:
            raise AnswerError(422, faults)
        self._admit(known)
        if refused_and_made:
            raise AnswerError(manner.refuses, "No")
        machine = self.truth.provision(key)
        return JSONResponse(
            {"idempotency_key": key, "instance_id": machine.id, "task_id": f"task-{machine.id}"}
        )

    def _poll(self, key: str, owner: str) -> Response:
        machine = self.truth.named(key)
        if machine is not None and self.truth.manner.tenants and machine.owner != owner:
            machine = None
        found, word = (False, None) if machine is None else self.truth.seen(machine, "key")
        named = machine.id if machine is not None and found else None
        return JSONResponse({"found": found, "instance_id": named, "status": word})

    def _delete(self, machine: Machine) -> Response:
        code = self.truth.delete(machine)
        if code != 200:
            raise AnswerError(code, "Instance not found")
        return JSONResponse({"instance_id": machine.id, "status": "deleting"})

    def _chat(self, machine: Machine, word: str | None) -> Response:
        if word != "running":
            raise AnswerError(409, "The agent is not ready")
        machine.turns_at.append(self.truth.clock.now())
        return Response(REPLY + "data: [DONE]\n\n", media_type="text/event-stream")

    def _count(self, machine: Machine, query: str) -> Response:
        window, now = _window(query), self.truth.clock.now()
        count = sum(now - at <= window for at in machine.turns_at)
        return JSONResponse(
            {
                "instance_id": machine.id,
                "count": count,
                "providers": ["anthropic"] if count else [],
                "window_seconds": window,
            }
        )


def _call_of(ask: Ask) -> tuple[str, str]:
    """Return which call it is, and which id or key it is about."""
    for (method, form), call in CALLS.items():
        match = re.fullmatch(form, ask.path)
        if match is not None and ask.method == method:
            return call, unquote("".join(match.groups()))
    return "other", ask.path


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw or b"{}")
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {}


def is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _window(query: str) -> int:
    return int(parse_qs(query).get("window_seconds", ["900"])[-1])


def _faults(call: str, about: str, body: dict[str, Any], query: str) -> Iterator[dict[str, Any]]:
    """Give what is wrong with a request, as FastAPI does."""

    def wrong(*where: str, kind: str) -> dict[str, Any]:
        return {"loc": list(where), "msg": kind.replace("_", " "), "type": kind}

    limits = LIMITS if call == "provision" else {"message": 4000} if call == "chat" else {}
    for name, most in limits.items():
        value = body.get(name)
        if name not in body:
            yield wrong("body", name, kind="missing")
        elif not isinstance(value, str):
            yield wrong("body", name, kind="string_type")
        elif len(value) > most:
            yield wrong("body", name, kind="string_too_long")
    if not isinstance(body.get("agent_name", ""), str | None):
        yield wrong("body", "agent_name", kind="string_type")
    if call not in ("provision", "poll") and not is_uuid(about):
        yield wrong("path", "instance_id", kind="uuid_parsing")
    if call == "llm_events":
        try:
            _window(query)
        except ValueError:
            yield wrong("query", "window_seconds", kind="int_parsing")


@contextmanager
def served(manner: Manner, clock: Clock | None = None) -> Iterator[tuple[Truth, str]]:
    """Serve a router until the `with` is over; gives what is true of it, and its URL."""
    truth = Truth(manner, clock)
    with serving(TrueRouter(truth)) as url:
        yield truth, url
