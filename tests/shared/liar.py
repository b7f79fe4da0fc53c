"""A router behind a gate that answers in its place: what ingresses, gateways and wrong routers say.

The gate knows which of the six calls a request is. A `Lie` takes the answer's place for the calls
it is told for, with the work done or not; without one the fake answers for itself.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gates import answer_of, serving
from starlette.responses import Response

from pytest_hydrasmoke.fake import FakeRouter, Scenario

QUICK = Scenario(row_after=0.0, statuses=((0.0, "running"),), llm_events_lag=0.0)
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_CALLS = {
    ("POST", r"/provision"): "provision",
    ("GET", r"/instances/by-key/[^/]+"): "poll",
    ("GET", rf"/instances/{UUID}"): "status",
    ("DELETE", r"/instances/[^/]+"): "delete",
    ("POST", r"/instances/[^/]+/chat"): "chat",
    ("GET", r"/instances/[^/]+/llm-events"): "llm_events",
}
ALL = frozenset({*_CALLS.values(), "other"})
"""Every call; `other` is what is none of the six, an id that is no UUID among it."""


@dataclass(frozen=True)
class Lie:
    """An answer in the router's place, to some of its calls."""

    status: int
    body: Any
    """JSON, or a text as it is."""
    calls: frozenset[str] = ALL
    kind: str | None = None
    """Its media type, if it is not that of the body."""
    carried_out: bool = False
    """Whether the router does what it was asked all the same."""

    def response(self) -> Response:
        text = isinstance(self.body, str)
        kind = self.kind or ("text/plain" if text else "application/json")
        body = self.body if text else json.dumps(self.body)
        headers = {"location": "https://router.example/"} if 300 <= self.status < 400 else {}
        return Response(body, self.status, headers, media_type=kind)


def on(*calls: str) -> frozenset[str]:
    return frozenset(calls)


_NOT_FOUND = {"detail": "Not Found"}
_UNKNOWN = {"detail": "Instance not found"}
SOMEBODY = "0b0e9d5e-5d3c-4a64-9f0e-3a1b8f6d2c11"

WEAK: dict[str, list[Lie]] = {
    "an ingress without a backend": [Lie(404, "default backend - 404")],
    "an ingress's page": [Lie(404, "<h1>404</h1>", kind="text/html")],
    "another application at this URL": [Lie(404, _NOT_FOUND)],
    "409 to delete": [Lie(409, {"detail": "already deleted"}, on("delete"))],
    "410 to delete": [Lie(410, {"detail": "Gone"}, on("delete"))],
    "404 to delete": [Lie(404, _UNKNOWN, on("delete"))],
    "something about another instance": [
        Lie(200, {"instance_id": SOMEBODY, "id": SOMEBODY, "status": "deleted"})
    ],
    "204 to delete": [Lie(204, "", on("delete"))],
    "202 to delete": [Lie(202, {"status": "queued"}, on("delete"))],
    "a redirect": [Lie(302, "", on("delete", "status"))],
    "a teapot": [Lie(418, {"detail": "no"}, on("delete", "status"))],
    "a page where status was": [
        Lie(409, {"detail": "already deleted"}, on("delete")),
        Lie(200, "<html>", on("status"), kind="text/html"),
    ],
    "502 of a gateway": [Lie(502, "<html>", on("delete", "status"), kind="text/html")],
    "status not found in the router's form, and the rest another's": [
        Lie(404, _UNKNOWN, on("status", "delete")),
        Lie(404, _NOT_FOUND),
    ],
    "status not found in plain text": [
        Lie(404, "no such page", on("status")),
        Lie(404, _UNKNOWN, on("delete")),
    ],
}
"""Answers at a deletion that prove nothing, while the instance lives."""


@dataclass
class Liar:
    """The router, the lies that are told, and under which id an instance is known from outside."""

    fake: FakeRouter
    lies: list[Lie] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    """New ids by old ones: the old one is not found any more."""
    asked: list[str] = field(default_factory=list)
    """The calls that came to the gate, in their order."""
    span: tuple[float, float] = (0, math.inf)
    """Which of these are lied to, by their numbers: from the one, before the other."""
    url: str = ""

    @property
    def token(self) -> str:
        return self.fake.token

    def lie(self, lies: Sequence[Lie], after: int = 0, times: float = math.inf) -> None:
        """Tell these lies, to some requests from now on; the next `after` are spared."""
        start = len(self.asked) + after
        self.lies, self.span = list(lies), (start, start + times)

    @property
    def alive(self) -> list[str]:
        return [it.idempotency_key for it in self.fake.instances if not it.deleted]

    def told(self, call: str) -> int:
        """Count the requests of a call that came to the gate."""
        return self.asked.count(call)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].removeprefix(scope["root_path"]).removeprefix("/internal/v1/smoke")
        call = next(
            (
                name
                for (method, form), name in _CALLS.items()
                if method == scope["method"] and re.fullmatch(form, path)
            ),
            "other",
        )
        lied = self.span[0] <= len(self.asked) < self.span[1]
        self.asked.append(call)
        lie = next((it for it in self.lies if lied and call in it.calls), None)
        if lie is None or lie.carried_out:
            answer = await self._carried_out(scope, receive)
            if lie is None:
                for message in answer:
                    await send(message)
                return
        await lie.response()(scope, receive, send)

    async def _carried_out(self, scope: Any, receive: Any) -> list[Any]:
        old = {new: old for old, new in self.renamed.items()}
        path = scope["path"]
        for known, made_up in (*old.items(), *((it, "0" * 8 + it[8:]) for it in self.renamed)):
            if known in path:
                scope = {**scope, "path": path.replace(known, made_up), "raw_path": None}
                break
        sent = await answer_of(self.fake.app, scope, receive)
        for message in sent:
            for one, other in self.renamed.items():
                if "body" in message:
                    message["body"] = message["body"].replace(one.encode(), other.encode())
        return sent


@contextmanager
def lying(scenario: Scenario = QUICK, **more: Any) -> Iterator[Liar]:
    """Serve a router behind its gate until the `with` is over; `more` is the fake's."""
    liar = Liar(FakeRouter(scenario, **more))
    with serving(liar) as liar.url:
        yield liar
