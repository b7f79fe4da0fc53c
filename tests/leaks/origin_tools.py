"""Two origins on loopback that record what they get, and the six calls, each alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pytest_hydrasmoke import AsyncSmokeClient, HydraSmokeError, InstanceSpec, SmokeClient
from pytest_hydrasmoke._core.incoming import Reading
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.links import Link

TOKEN = "q7XwZt3mLk9vRb2yNd5Hc8Fj4Gs6Pa1T"
SOME_ID = "5e0c1c4a-9f0b-4a55-8d3e-0d9a4f6b7c21"
PREFIX = "/internal/v1/smoke"
SPEC = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")

Answer = tuple[int, dict[str, str], object]
Answers = Callable[["Origin", str], Answer]


def fine(origin: Origin, path: str) -> Answer:
    """Answer as a router does, to whatever is asked."""
    everything = {
        "idempotency_key": "key",
        "task_id": "task",
        "instance_id": SOME_ID,
        "found": True,
        "id": SOME_ID,
        "status": "running",
        "count": 0,
        "providers": [],
        "window_seconds": 900,
    }
    return 200, {}, everything


@dataclass
class Origin:
    """A server on loopback, and what it got: request lines and tokens."""

    answers: Answers = fine
    lines: list[str] = field(default_factory=list[str])
    tokens: list[str] = field(default_factory=list[str])
    url: str = ""
    other: str = ""
    """The URL of the other one."""

    @property
    def paths(self) -> list[str]:
        return [line.split(" ")[1] for line in self.lines]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers.get("content-length", 0)))
        self.lines.append(handler.requestline)
        self.tokens += handler.headers.get_all("authorization", [])
        status, headers, body = self.answers(self, handler.path)
        raw = json.dumps(body).encode()
        handler.send_response(status)
        for name, value in {"content-length": str(len(raw)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(raw)


@contextmanager
def serving(origin: Origin) -> Iterator[Origin]:
    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            origin.answer(self)

        do_GET = do_POST = do_DELETE = do_CONNECT = do  # noqa: N815

        def log_message(self, *words: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    origin.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield origin
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class LinkClient(SmokeClient):
    """A client over a link, and not one that is given the token as an argument."""

    def __init__(self, link: Link) -> None:
        self._use(SyncIO(link), Reading())


class AsyncLinkClient(AsyncSmokeClient):
    """The same, awaited."""

    def __init__(self, link: Link) -> None:
        self._use(AsyncIO(link), Reading())


class Calls:
    """The six calls, blocking or awaited, each alone; what they raise is no matter here."""

    def __init__(self, kind: str, link: Link) -> None:
        self.client: Any
        if kind == "blocking":
            self.client = LinkClient(link)
        else:
            self.client = AsyncLinkClient(link)
        self._awaited = kind == "awaited"

    async def one(self, name: str, *arguments: object) -> str:
        """Make a call; gives the name of the error that it ended in, if it did."""
        try:
            if name == "stream_chat":
                await self._chat(*arguments)
            else:
                result = getattr(self.client, name)(*arguments)
                _ = await result if self._awaited else result
        except HydraSmokeError as error:
            return type(error).__name__
        return "no error"

    async def _chat(self, *arguments: object) -> None:
        if self._awaited:
            async with self.client.stream_chat(*arguments) as stream:
                async for _ in stream:
                    pass
        else:
            with self.client.stream_chat(*arguments) as stream:
                for _ in stream:
                    pass

    async def all(self, name: str = SOME_ID) -> list[str]:
        ended = [await self.one("provision", SPEC, name)]
        for call in ("poll", "status", "llm_events", "delete"):
            ended.append(await self.one(call, name))
        return [*ended, await self.one("stream_chat", name, "hello")]
