"""The six routes as a Starlette app: routing, records and faults, around the `Handlers`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route as Entry
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import requests as wire
from .chat_stream import AgentStream, EventStream, hang_up
from .faults import Drop, Fail
from .handlers import Handlers
from .records import TELLING, Route
from .replay import Replay
from .state import World

_DOCUMENT = Path(__file__).with_name("openapi.json")
"""The contract, in a copy of the fake's own."""
_RECORD = "pytest_hydrasmoke.record"
_HEALTH = "/healthz"

_ONE = "/instances/{instance_id}"
_CALLS: Mapping[Route, tuple[str, str, type[BaseModel]]] = {
    # The order of the contract: where two paths match, the first wins.
    "provision": ("POST", "/provision", wire.ProvisionCall),
    "poll": ("GET", "/instances/by-key/{idempotency_key}", wire.PollCall),
    "status": ("GET", _ONE, wire.InstanceCall),
    "delete": ("DELETE", _ONE, wire.InstanceCall),
    "chat": ("POST", f"{_ONE}/chat", wire.ChatCall),
    "llm_events": ("GET", f"{_ONE}/llm-events", wire.LlmEventsCall),
}
"""Method, path and parts of each call; the method of `Handlers` that answers it has its name."""


def build_app(world: World, token: str, replay: Replay | None) -> Starlette:
    """Return the app of a world's six routes; with a replay, its agents say what was recorded."""
    handlers = Handlers(world, replay)
    return Starlette(
        routes=[
            # First, as in FastAPI, and with HEAD: there it is a plain route, too.
            Entry("/openapi.json", _openapi),
            Entry(_HEALTH, _healthy),
            *(_entry(route, world, token, getattr(handlers, route)) for route in _CALLS),
        ],
        middleware=[Middleware(_recorder, world=world)],
        exception_handlers={HTTPException: wire.answer_refused},
    )


def _entry(route: Route, world: World, token: str, work: Callable[[Any], ASGIApp]) -> Entry:
    """Return one route: its work, unless a fault precedes it or replaces its answer.

    An explicit fault hits any request. The scenario's trouble hits accepted ones: a request that
    breaks the contract is refused before anything else can go wrong.
    """
    method, path, kind = _CALLS[route]

    def done(request: Request, raw: bytes) -> ASGIApp:
        try:
            call = wire.accepted(kind, request, raw)
            if not wire.bears(request.headers, token):
                status = world.scenario.unauthorized_status
                raise HTTPException(status, "Invalid or missing token")
            return _with(world.faults.trouble(route), partial(work, call))
        except HTTPException as refusal:
            return wire.answer_refused(request, refusal)

    async def answered(request: Request) -> ASGIApp:
        record: dict[str, Any] = request.scope[_RECORD]
        record["route"] = route
        raw = await request.body()
        with suppress(ValueError, RecursionError):
            # NaN and the like, which Python reads but JSON can't hold, count as missing.
            record["body"] = json.loads(raw, parse_constant=lambda _: None)
        return _with(world.faults.take(route), partial(done, request, raw))

    made = Entry(wire.PREFIX + path, answered, methods=[method])
    # Starlette lets GET answer HEAD as well; FastAPI doesn't.
    made.methods = {method}
    return made


async def _openapi(request: Request) -> Response:
    return Response(_DOCUMENT.read_bytes(), media_type="application/json")


async def _healthy(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _recorder(app: ASGIApp, world: World) -> ASGIApp:
    """Record every request but those that wait for the router, and the status of its answer."""

    async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or path == _HEALTH:
            await app(scope, receive, send)
            return
        query = scope["query_string"].decode("latin-1")
        headers = {key.decode("latin-1"): text.decode("latin-1") for key, text in scope["headers"]}
        told = {name: text for name, text in headers.items() if name in TELLING}
        record = world.open_record(scope["method"], path, query, told)

        async def noted(message: Message) -> None:
            # Before it is sent, so that a client with the answer finds it in the record.
            if message["type"] == "http.response.start":
                record["status"] = message["status"]
            await send(message)

        await app({**scope, _RECORD: record}, receive, noted)

    return recorded


def _with(fault: Fail | Drop | None, work: Callable[[], ASGIApp]) -> ASGIApp:
    if fault is None:
        return work()
    answer = hang_up if isinstance(fault, Drop) else _failed(fault)
    if fault.when == "before":
        return answer
    done = work()
    return done.instead(answer) if isinstance(done, EventStream | AgentStream) else answer


def _failed(fault: Fail) -> Response:
    headers = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
    if fault.status in (204, 205, 304):
        return Response(None, fault.status, headers)
    if isinstance(fault.body, str):
        return HTMLResponse(fault.body, fault.status, headers)
    body = fault.body
    if body is None:
        known = fault.status in set(HTTPStatus)
        body = {"detail": HTTPStatus(fault.status).phrase if known else "Failed"}
    return JSONResponse(body, fault.status, headers)
