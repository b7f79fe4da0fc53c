"""The six routes as a Starlette app: routing, records and faults, around the answers of `Calls`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route as Entry
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import requests as wire
from .agent_stream import AgentStream
from .chat_stream import EventStream, hang_up
from .faults import Drop, Failure, Faults
from .handlers import Calls
from .records import TELLING, Route
from .replay import Player
from .scenario import Scenario
from .state import World

_DOCUMENT = Path(__file__).with_name("openapi.json")
"""The contract, in a copy of the fake's own."""
_RECORD = "pytest_hydrasmoke.record"
_HEALTH = "/healthz"

Call = TypeVar("Call", bound=BaseModel)
Endpoint = Callable[[Request], Coroutine[object, object, ASGIApp]]


def build_app(world: World, faults: Faults, token: str, player: Player | None = None) -> Starlette:
    """Return the app of a world's six routes; with a player, its agents replay recordings."""
    calls = Calls(world, faults, player)

    def entry(
        method: str, path: str, route: Route, kind: type[Call], work: Callable[[Call], ASGIApp]
    ) -> Entry:
        def begun(request: Request, raw: bytes) -> Callable[[], ASGIApp]:
            call = wire.accepted(kind, request, raw)
            if not wire.bears(request.headers, token):
                status = world.scenario.unauthorized_status
                raise HTTPException(status, "Invalid or missing token")
            return partial(work, call)

        made = Entry(wire.PREFIX + path, _endpoint(route, begun, faults, world), methods=[method])
        # Starlette lets GET answer HEAD as well; FastAPI doesn't.
        made.methods = {method}
        return made

    # The order of the contract: where two paths match, the first wins.
    key, one = "/instances/by-key/{idempotency_key}", "/instances/{instance_id}"
    return Starlette(
        routes=[
            # First, as in FastAPI, and with HEAD: there it is a plain route, too.
            Entry("/openapi.json", _openapi),
            Entry(_HEALTH, _healthy),
            entry("POST", "/provision", "provision", wire.ProvisionCall, calls.provision),
            entry("GET", key, "poll", wire.PollCall, calls.poll),
            entry("GET", one, "status", wire.InstanceCall, calls.status),
            entry("DELETE", one, "delete", wire.InstanceCall, calls.delete),
            entry("POST", f"{one}/chat", "chat", wire.ChatCall, calls.chat),
            entry("GET", f"{one}/llm-events", "llm_events", wire.LlmEventsCall, calls.llm_events),
        ],
        middleware=[Middleware(_recorder, world=world)],
        exception_handlers={HTTPException: wire.answer_refused},
    )


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


def _endpoint(
    route: Route,
    begun: Callable[[Request, bytes], Callable[[], ASGIApp]],
    faults: Faults,
    world: World,
) -> Endpoint:
    """Return one route: its work, unless a fault precedes it or replaces its answer.

    An explicit fault hits any request. The scenario's trouble hits accepted ones: a request that
    breaks the contract is refused before anything else can go wrong.
    """

    async def answered(request: Request) -> ASGIApp:
        record: dict[str, Any] = request.scope[_RECORD]
        record["route"] = route
        raw = await request.body()
        with suppress(ValueError, RecursionError):
            # NaN and the like, which Python reads but JSON can't hold, count as missing.
            record["body"] = json.loads(raw, parse_constant=lambda _: None)
        return _with(faults.take(route), partial(done, request, raw))

    def done(request: Request, raw: bytes) -> ASGIApp:
        try:
            work = begun(request, raw)
            hit = world.in_trouble(route)
            return _with(_trouble(world.scenario, route) if hit else None, work)
        except wire.InvalidRequestError as problem:
            return wire.answer_invalid(problem)
        except HTTPException as refusal:
            return wire.answer_refused(request, refusal)

    return answered


def _with(fault: Failure | Drop | None, work: Callable[[], ASGIApp]) -> ASGIApp:
    if fault is None:
        return work()
    answer = hang_up if isinstance(fault, Drop) else _failed(fault)
    if fault.when == "before":
        return answer
    done = work()
    return done.instead(answer) if isinstance(done, EventStream | AgentStream) else answer


def _trouble(scenario: Scenario, route: Route) -> Failure | Drop:
    if scenario.trouble in ("dropped", "lost"):
        return Drop(route=route, when="before" if scenario.trouble == "dropped" else "after")
    retry_after: int | str | None = scenario.retry_after_seconds
    if scenario.retry_after == "none":
        retry_after = None
    elif scenario.retry_after == "date":
        # The only time not from the clock: a client compares a date with its own real one.
        retry_after = formatdate(time.time() + scenario.retry_after_seconds, usegmt=True)
    status = 429 if scenario.trouble == "limited" else 503
    return Failure(route=route, status=status, retry_after=retry_after)


def _failed(fault: Failure) -> Response:
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
