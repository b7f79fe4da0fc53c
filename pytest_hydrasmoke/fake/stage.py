"""Routes by which a process of a run informs its player, beside the router's own routes.

    POST /_fake/stage     {"owner": ..., "run": 1, "begins": true, "test": ...}
    POST /_fake/instance  {"key": ..., "claim": "shared" or [owner, number]}
    POST /_fake/unordered {"owner": ..., "key": ... or null}

All require the router's token. The requests of tests stay as they are.
"""

from __future__ import annotations

import hmac
from typing import Literal

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from .replay import Player
from .requests import answer_refused


class _OnStage(BaseModel):
    owner: str | None
    run: int
    begins: bool
    test: str | None


class _Claimed(BaseModel):
    key: str
    claim: tuple[str, int] | Literal["shared"]


class _Unordered(BaseModel):
    owner: str
    key: str | None


def with_stage(app: ASGIApp, player: Player, token: str) -> Starlette:
    """Add the player's controls beside an app that plays its turns."""
    authorization = f"Bearer {token}".encode()

    async def body(request: Request) -> bytes:
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, authorization):
            raise HTTPException(401, "This route requires the token of the router")
        return await request.body()

    async def stage(request: Request) -> Response:
        now = _OnStage.model_validate_json(await body(request))
        player.enter(now.owner, now.run, begins=now.begins, test=now.test)
        return Response(status_code=204)

    async def instance(request: Request) -> Response:
        claimed = _Claimed.model_validate_json(await body(request))
        player.claim(claimed.key, claimed.claim)
        return Response(status_code=204)

    async def unordered(request: Request) -> Response:
        which = _Unordered.model_validate_json(await body(request))
        player.has_no_order(which.owner, which.key)
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/_fake/stage", stage, methods=["POST"]),
            Route("/_fake/instance", instance, methods=["POST"]),
            Route("/_fake/unordered", unordered, methods=["POST"]),
            Mount("", app),
        ],
        exception_handlers={HTTPException: answer_refused},
    )
