"""A fake router that is a program of its own, with `FakeRouter`'s controls as JSON.

    GET  /
    GET  /_fake/instances  /_fake/requests  /_fake/llm_events
    POST /_fake/reset  /_fake/reply  /_fake/fail  /_fake/drop  /_fake/break_stream

`/` is a page for people: instances and requests, live. A POST takes the arguments of the method of
that name as one JSON object; invalid ones get a 422 that says why, and change nothing.

They require no token, and so accept only this machine (`refusal`): any page open in a browser could
request them too.
"""

from __future__ import annotations

import difflib
import inspect
import json
import re
import signal
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import cast

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .real_time import pause
from .records import Instance, LlmEvent, RequestRecord
from .requests import answer_refused
from .router import FakeRouter
from .scenario import Scenario
from .server import Server

# The page may connect only to its own router.
_POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
)


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
        server.mount("", with_controls(router, host))
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


def with_controls(router: FakeRouter, host: str = "127.0.0.1") -> Starlette:
    """Add a fake router's controls beside its routes; `host` is the address it is served at."""
    verbs: tuple[Callable[..., None], ...] = (
        router.reset,
        router.reply,
        router.fail,
        router.drop,
        router.break_stream,
    )
    controls = [
        Route("/instances", _show(lambda: router.instances)),
        Route("/requests", _show(lambda: router.requests)),
        Route("/llm_events", _show(lambda: router.llm_events)),
        *(Route(f"/{verb.__name__}", _do(verb), methods=["POST"]) for verb in verbs),
    ]
    guards = [Middleware(Guard, host=host)]
    return Starlette(
        routes=[
            Route("/", _page, middleware=guards),
            Mount("/_fake", routes=controls, middleware=guards),
            Mount("", router.app),
        ],
        exception_handlers={HTTPException: answer_refused},
    )


async def _page(request: Request) -> Response:
    text = Path(__file__).with_name("page.html").read_text("utf-8")
    return HTMLResponse(text, headers={"content-security-policy": _POLICY})


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def refusal(headers: Headers, host: str) -> str | None:
    """Return why a client may not use the controls or the page; None if it may.

    A host name that resolves to this machine proves nothing: its owner's page can have that name
    (DNS rebinding). A page of another origin may send requests without a preflight.
    """
    hosts = headers.getlist("host")
    asked = hosts[0].lower() if len(hosts) == 1 else ""
    if not _is_here(asked, host):
        return f"The Host must be a loopback name or address, or {host}, not {asked[:80]!r}"
    origins = headers.getlist("origin")
    if origins and [origin.lower() for origin in origins] != [f"http://{asked}"]:
        return "A page of another origin can't use this"
    return None


def _is_here(asked: str, host: str) -> bool:
    """Return whether a Host, its port included, is a name of this machine, or the one in use."""
    named = re.fullmatch(r"(\[[^\[\]]+\]|[^:\[\]]+)(:\d*)?", asked)
    if named is None:
        return False
    name = named[1].strip("[]")
    if name in ("localhost", host.lower()):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


class Guard:
    """Pass on what `refusal` allows; answer anything else with a 403 and the reason."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        why = refusal(Headers(scope=scope), self._host)
        answer = self._app if why is None else JSONResponse({"detail": why}, 403)
        await answer(scope, receive, send)


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
            raw = await request.body()
            if raw and _media_type(request.headers) != "application/json":
                # A browser lets any page send a form's content types, without a preflight.
                raise HTTPException(
                    415, "A control accepts only a body of the type application/json"
                )
            arguments: object = json.loads(raw or b"{}")
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
