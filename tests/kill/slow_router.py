"""A fake router as a program of its own: `slow_router.py SCENARIO DELETE_TAKES` (JSON, seconds).

It prints its URL. `GET /_slow` counts the deletions that have begun, answered or not.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from controls import with_controls
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.server import Server


class Slow:
    """Lets every DELETE wait before the router sees it."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._begun = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/_slow":
            await JSONResponse(self._begun)(scope, receive, send)
            return
        if scope["method"] == "DELETE":
            self._begun += 1
            await asyncio.sleep(self._seconds)
        await self._app(scope, receive, send)


def main(scenario: dict[str, Any], delete_takes: float) -> None:
    router = FakeRouter(Scenario(**scenario), os.environ["HYDRA_SMOKE_TOKEN"])
    server = Server()
    server.mount("", Slow(with_controls(router), delete_takes))
    print(server.url, flush=True)
    # Until whoever started it closes the pipe, by ending if need be.
    sys.stdin.read()
    server.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), float(sys.argv[2]))
