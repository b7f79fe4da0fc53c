"""Two origins on loopback that record what they get, and the six calls, each alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faulty_server import FaultyServer, Line, Received, answer
from net_tools import all_of, result, within

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


class Origin(FaultyServer):
    """A server that answers as it is told to."""

    def __init__(self) -> None:
        super().__init__(self._respond)
        self.answers: Answers = fine
        self.other = ""
        """The URL of the other one."""

    @property
    def paths(self) -> list[str]:
        return [request.target for request in self.requests]

    @property
    def tokens(self) -> set[str]:
        """What was sent as a token, or in place of one."""
        sent = (request.headers.get("authorization") for request in self.requests)
        return {token for token in sent if token is not None}

    def _respond(self, line: Line, request: Received) -> None:
        status, headers, body = self.answers(self, request.target)
        lines = (f"{name}: {value}" for name, value in headers.items())
        answer(body, status, "connection: close", *lines)(line, request)


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
        self.client: Any = LinkClient(link) if kind == "blocking" else AsyncLinkClient(link)

    async def all(self, name: str = SOME_ID) -> list[str]:
        """Make them; gives the names of the errors that they ended in."""
        ended = [await self._one("provision", SPEC, name)]
        for call in ("poll", "status", "llm_events", "delete"):
            ended.append(await self._one(call, name))
        return [*ended, await self._one("stream_chat", name, "hello")]

    async def _one(self, call: str, *arguments: object) -> str:
        try:
            made = getattr(self.client, call)(*arguments)
            if call == "stream_chat":
                async with within(made) as stream:
                    await all_of(stream)
            else:
                await result(made)
        except HydraSmokeError as error:
            return type(error).__name__
        return "no error"
