"""A fake router that is a program of its own, with `FakeRouter`'s controls as JSON.

    GET  /_fake/instances  /_fake/requests  /_fake/llm_events
    POST /_fake/reset  /_fake/reply  /_fake/fail  /_fake/drop  /_fake/break_stream

All require the router's token. A POST takes the arguments of the method of that name as one JSON
object; invalid ones get a 422 that says why, and change nothing. `/healthz` requires no token.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from types import FrameType
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import Receive, Scope, Send

from pytest_hydrasmoke._base.clock import pause

from .records import FakeInstance, LlmEvent, RequestRecord
from .requests import answer_refused, bears
from .router import ORDERS, FakeRouter, order
from .scenario import Scenario
from .server import Server


def serve(
    scenario: Scenario | str | None = None,
    token: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    announce: Callable[[str, str], None] = lambda url, token: None,
    cors_origins: Sequence[str] = (),
) -> None:
    """Serve a fake router until SIGINT or SIGTERM; for the main thread only.

    `announce` is called with URL and token once it listens. Port 0 is any free one. Pages of
    `cors_origins` may call it from a browser. Raises OSError where the address can't be bound,
    ValueError for what is no token or no origin.
    """
    app = with_controls(router := FakeRouter(scenario, token), cors_origins)
    # Handled until all is closed: a second signal, right after the first, must not interrupt that.
    with _signals_noted() as came, closing(Server(host, port)) as server:
        server.mount("", app)
        announce(server.url, router.token)
        while not came:
            pause(0.1)


@contextmanager
def _signals_noted() -> Generator[Sequence[int]]:
    """Have signals append their numbers to a list, and do nothing else."""
    came: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        # Without a lock, such as an Event has: the thread that this interrupts may hold it.
        came.append(number)

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def with_controls(router: FakeRouter, cors_origins: Sequence[str] = ()) -> Starlette:
    """Add a fake router's controls beside its routes; for the pages of these origins, too."""
    controls = Router(
        [
            Route("/instances", _show(lambda: router.instances)),
            Route("/requests", _show(lambda: router.requests)),
            Route("/llm_events", _show(lambda: router.llm_events)),
            *(Route(f"/{name}", _do(router, name), methods=["POST"]) for name in ORDERS),
        ]
    )

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        # Before anything else of a request counts: any page open in a browser can send one.
        if not bears(Headers(scope=scope), router.token):
            raise HTTPException(401, "The controls require the token of the fake router")
        await controls(scope, receive, send)

    return Starlette(
        routes=[Mount("/_fake", guarded), Mount("", router.app)],
        middleware=_cors(cors_origins) if cors_origins else (),
        exception_handlers={HTTPException: answer_refused},
    )


def _cors(origins: Sequence[str]) -> list[Middleware]:
    for origin in origins:
        # As a browser sends it, or no page would match it.
        if not re.fullmatch(r"https?://[^/\s*?#@A-Z]+", origin):
            raise ValueError(f"{origin!r} is no origin, such as https://app.example")
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("*",),
            expose_headers=("retry-after",),
        )
    ]


_GIVEN = TypeAdapter(dict[str, Any])
_Endpoint = Callable[[Request], Coroutine[object, object, Response]]
_Seen = tuple[FakeInstance, ...] | tuple[RequestRecord, ...] | tuple[LlmEvent, ...]


def _show(look: Callable[[], _Seen]) -> _Endpoint:
    async def show(request: Request) -> Response:
        # Escaped, as a request may have contained invalid UTF-8.
        text = json.dumps([asdict(record) for record in look()])
        return Response(text, media_type="application/json")

    return show


def _do(router: FakeRouter, name: str) -> _Endpoint:
    async def do(request: Request) -> Response:
        try:
            order(router, name, _GIVEN.validate_json(await request.body() or b"{}"))
        except ValidationError as problem:
            return _refused(f"The body is no JSON object: {problem.errors()[0]['msg']}")
        except ValueError as problem:
            return _refused(f"{name}: {problem}")
        return JSONResponse({})

    return do


def _refused(message: str) -> Response:
    """Refuse what a control can't accept, in the form of the router's own refusals."""
    entry = {"type": "value_error", "loc": ["body"], "msg": message}
    return JSONResponse({"detail": [entry]}, 422)
