"""Answers in a router's place: what ingresses, gateways and wrong routers say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

CALLS = ("provision", "poll", "status", "delete", "chat", "llm_events")


@dataclass(frozen=True)
class Lie:
    """An answer in the router's place, to some of its calls; 0 is none."""

    status: int
    body: Any
    """JSON, or a text as it is."""
    calls: frozenset[str] = frozenset({*CALLS, "malformed", "other"})
    """`malformed` is the status of an id that is no UUID, and `other` none of the six."""
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


NOT_FOUND = {"detail": "Not Found"}
_UNKNOWN = {"detail": "Instance not found"}
SOMEBODY = "0b0e9d5e-5d3c-4a64-9f0e-3a1b8f6d2c11"

WEAK: dict[str, list[Lie]] = {
    "an ingress without a backend": [Lie(404, "default backend - 404")],
    "an ingress's page": [Lie(404, "<h1>404</h1>", kind="text/html")],
    "another application at this URL": [Lie(404, NOT_FOUND)],
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
        Lie(404, NOT_FOUND),
    ],
    "status not found in plain text": [
        Lie(404, "no such page", on("status")),
        Lie(404, _UNKNOWN, on("delete")),
    ],
}
"""Answers at a deletion that prove nothing, while the instance lives."""
