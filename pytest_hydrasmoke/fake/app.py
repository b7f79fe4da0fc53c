"""The six routes as a Starlette app: routing, records and faults, around the answers of `calls`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route as Entry
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import requests as wire
from .chat_stream import EventStream, hang_up
from .faults import Drop, Failure, Faults
from .handlers import Calls
from .records import Route
from .replay import Player
from .state import OpenRecord, World

_DOCUMENT = Path(__file__).with_name("openapi.json")
"""The contract, in a copy of the fake's own."""
_RECORD = "pytest_hydrasmoke.record"

Call = TypeVar("Call", bound=BaseModel)
Taker = Callable[[Request, bytes], Callable[[], ASGIApp]]
"""A function that accepts a request, and returns a function that does its work."""


def build_app(world: World, faults: Faults, token: str, player: Player | None = None) -> Starlette:
    """Return the app of a world's six routes; with a player, its agents replay recordings."""
    calls = Calls(world, faults, token, player)
    key, one = "/instances/by-key/{idempotency_key}", "/instances/{instance_id}"

    # The order of the contract: where two paths match, the first wins.
    def taken(kind: type[Call], work: Callable[[Call], ASGIApp]) -> Taker:
        return lambda request, raw: partial(work, calls.accept(kind, request, raw))

    table: list[tuple[str, str, Route, Taker]] = [
        ("POST", "/provision", "provision", taken(wire.ProvisionCall, calls.provision)),
        ("GET", key, "poll", taken(wire.PollCall, calls.poll)),
        ("GET", one, "status", taken(wire.InstanceCall, calls.status)),
        ("DELETE", one, "delete", taken(wire.InstanceCall, calls.delete)),
        ("POST", one + "/chat", "chat", taken(wire.ChatCall, calls.chat)),
        ("GET", one + "/llm-events", "llm_events", taken(wire.LlmEventsCall, calls.llm_events)),
    ]
    # First, as in FastAPI, and with HEAD: there it is a plain route, too.
    entries = [Entry("/openapi.json", _openapi)]
    for method, path, route, take in table:
        entry = Entry(wire.PREFIX + path, _Endpoint(route, take, faults, world), methods=[method])
        # Starlette lets GET answer HEAD as well; FastAPI doesn't.
        entry.methods = {method}
        entries.append(entry)
    return Starlette(
        routes=entries,
        middleware=[Middleware(_Recorder, world=world)],
        exception_handlers={HTTPException: wire.answer_refused},
    )


async def _openapi(request: Request) -> Response:
    return Response(_DOCUMENT.read_bytes(), media_type="application/json")


class _Recorder:
    """Record every request, and the status code of its answer."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = OpenRecord(
            method=scope["method"],
            path=scope["path"].removeprefix(scope.get("root_path", "")),
            query=scope["query_string"].decode("latin-1"),
            at=self._world.clock.now(),
        )
        self._world.open_record(record)
        scope[_RECORD] = record

        async def noted(message: Message) -> None:
            # Before it is sent, so that a client with the answer finds it in the record.
            if message["type"] == "http.response.start":
                record.status = message["status"]
            await send(message)

        await self._app(scope, receive, noted)


class _Endpoint:
    """One route: its work, unless a fault precedes it or replaces its answer.

    An explicit fault hits any request. The scenario's trouble hits accepted ones: a request that
    breaks the contract is refused before anything else can go wrong.
    """

    def __init__(self, route: Route, take: Taker, faults: Faults, world: World) -> None:
        self._route: Route = route
        self._take = take
        self._faults = faults
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        record: OpenRecord = scope[_RECORD]
        record.route = self._route
        raw = await request.body()
        with suppress(ValueError, RecursionError):
            # NaN and the like, which Python reads but JSON can't hold, count as missing.
            record.body = json.loads(raw, parse_constant=lambda _: None)
        fault = self._faults.take(self._route)
        answer = _with(fault, partial(self._answer, request, raw))
        await answer(scope, receive, send)

    def _answer(self, request: Request, raw: bytes) -> ASGIApp:
        try:
            work = self._take(request, raw)
            hit = self._world.in_trouble(self._route)
            return _with(_trouble(self._world, self._route) if hit else None, work)
        except wire.InvalidRequestError as problem:
            return wire.answer_invalid(problem)
        except HTTPException as refusal:
            return wire.answer_refused(request, refusal)


def _with(fault: Failure | Drop | None, work: Callable[[], ASGIApp]) -> ASGIApp:
    if fault is None:
        return work()
    if fault.when == "after":
        done = work()
        if isinstance(done, EventStream):
            done.end_turn()
            done.over()
    return hang_up if isinstance(fault, Drop) else _failed(fault)


def _trouble(world: World, route: Route) -> Failure | Drop:
    scenario = world.scenario
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
