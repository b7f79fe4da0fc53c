"""Controls of a fake that is a program of its own: what it has seen, and its faults, as JSON.

    GET  /_fake/instances  /_fake/requests
    POST /_fake/fail

All require the router's token. The POST takes the arguments of `FakeRouter.fail`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from pytest_hydrasmoke.fake import FakeRouter


def with_controls(router: FakeRouter) -> Starlette:
    """Return a fake's application with its controls beside its routes."""

    def show(look: Callable[[], Sequence[Any]]) -> Any:
        async def answer(request: Request) -> Response:
            if request.headers.get("authorization") != f"Bearer {router.token}":
                return JSONResponse({"detail": "not yours"}, 401)
            # Escaped, as a request may have contained invalid UTF-8.
            return Response(json.dumps([asdict(it) for it in look()]))

        return answer

    async def fail(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {router.token}":
            return JSONResponse({"detail": "not yours"}, 401)
        router.fail(**await request.json())
        return JSONResponse({})

    return Starlette(
        routes=[
            Route("/_fake/instances", show(lambda: router.instances)),
            Route("/_fake/requests", show(lambda: router.requests)),
            Route("/_fake/fail", fail, methods=["POST"]),
            Mount("", router.app),
        ]
    )


def add_to_every_fake() -> None:
    """Give each fake of this process its controls: for a program that is not the tests' own."""
    begin = FakeRouter.__init__

    def begin_with_controls(self: FakeRouter, *given: Any, **more: Any) -> None:
        begin(self, *given, **more)
        self.app = with_controls(self)

    FakeRouter.__init__ = begin_with_controls  # type: ignore[method-assign]
