"""A fake router that is a program of its own, with `FakeRouter`'s controls as JSON.

    GET  /_fake/instances  /_fake/requests  /_fake/llm_events
    POST /_fake/reset  /_fake/reply  /_fake/fail  /_fake/drop  /_fake/break_stream

All require the router's token. A POST takes the arguments of the method of that name as one JSON
object; invalid ones get a 422 that says why, and change nothing.
"""

from __future__ import annotations

import difflib
import inspect
import json
import signal
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from types import FrameType
from typing import cast

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import Receive, Scope, Send

from .real_time import pause
from .records import Instance, LlmEvent, RequestRecord
from .requests import answer_refused, bears
from .router import FakeRouter
from .scenario import Scenario
from .server import Server


def serve(
    scenario: Scenario | str | None = None,
    token: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    announce: Callable[[str, str], None] = lambda url, token: None,
) -> None:
    """Serve a fake router until SIGINT or SIGTERM; for the main thread only.

    `announce` is called with URL and token once it listens. Port 0 is any free one. Raises OSError
    where the address can't be bound.
    """
    router = FakeRouter(scenario, token)
    # Handled until all is closed: a second signal, right after the first, must not interrupt that.
    with _signals_noted() as came, closing(Server(host, port)) as server:
        server.mount("", with_controls(router))
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


def with_controls(router: FakeRouter) -> Starlette:
    """Add a fake router's controls beside its routes."""
    verbs: tuple[Callable[..., None], ...] = (
        router.reset,
        router.reply,
        router.fail,
        router.drop,
        router.break_stream,
    )
    controls = Router(
        [
            Route("/instances", _show(lambda: router.instances)),
            Route("/requests", _show(lambda: router.requests)),
            Route("/llm_events", _show(lambda: router.llm_events)),
            *(Route(f"/{verb.__name__}", _do(verb), methods=["POST"]) for verb in verbs),
        ]
    )

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        # Before anything else of a request counts: any page open in a browser can send one.
        if not bears(Headers(scope=scope), router.token):
            raise HTTPException(401, "The controls require the token of the fake router")
        await controls(scope, receive, send)

    return Starlette(
        routes=[Mount("/_fake", guarded), Mount("", router.app)],
        exception_handlers={HTTPException: answer_refused},
    )


_Endpoint = Callable[[Request], Coroutine[object, object, Response]]
_Seen = tuple[Instance, ...] | tuple[RequestRecord, ...] | tuple[LlmEvent, ...]


def _show(look: Callable[[], _Seen]) -> _Endpoint:
    async def show(request: Request) -> Response:
        # Escaped, as a request may have contained invalid UTF-8.
        text = json.dumps([asdict(record) for record in look()])
        return Response(text, media_type="application/json")

    return show


def _do(verb: Callable[..., None]) -> _Endpoint:
    async def do(request: Request) -> Response:
        try:
            arguments: object = json.loads(await request.body() or b"{}")
        except (ValueError, RecursionError) as problem:
            return _refused("json_invalid", f"The body is no JSON: {problem}")
        if not isinstance(arguments, dict):
            return _refused("dict_type", "The body is a JSON object of keyword arguments")
        given = cast(dict[str, object], arguments)
        known = inspect.signature(verb).parameters
        for name in given:
            if name not in known:
                return _refused("unexpected", _no_argument(verb.__name__, name, known), name)
        for name, parameter in known.items():
            if name not in given and parameter.default is parameter.empty:
                return _refused("missing", f"{verb.__name__} needs {name}", name)
        try:
            verb(**given)
        except ValueError as problem:
            return _refused("value_error", f"{verb.__name__}: {problem}")
        return JSONResponse({})

    return do


def _refused(kind: str, message: str, *place: str) -> Response:
    """Refuse what a control can't accept, in the form of the router's own refusals."""
    entry = {"type": kind, "loc": ["body", *place], "msg": message}
    return JSONResponse({"detail": [entry]}, 422)


def _no_argument(verb: str, name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"it takes {', '.join(known) or 'none'}"
    return f"{verb} has no argument {name[:40]!r}; {hint}"
