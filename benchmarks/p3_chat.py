"""P3: a chat from the socket to its events, sync and async, beside httpx with what reads SSE.

The server is a process of its own that sends what it has ready, so the CPU time is the client's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from functools import partial

import anyio
import httpx
from bench_machine import version
from bench_measure import rounds
from bench_result import Bar, Result
from bench_server import serving
from bench_streams import ID
from httpx_sse import EventSource

from pytest_hydrasmoke import AsyncSmokeClient, SmokeClient

OURS = "hydrasmoke"
TOKEN = "a-token-of-the-benchmark"
PATH = f"/internal/v1/smoke/instances/{ID}/chat"
BODY = {"message": "Are you ready?"}
Chats = dict[str, Callable[[int], None]]
AsyncChat = Callable[[], Awaitable[int]]


def sync_chats(url: str, events: int, stack: ExitStack) -> Chats:
    """Return what holds so many chats, one after the other."""
    client = stack.enter_context(SmokeClient(url, token=TOKEN))
    bare = stack.enter_context(httpx.Client(base_url=url))

    def ours() -> int:
        with client.stream_chat(ID, "Are you ready?") as stream:
            return sum(1 for _ in stream)

    def httpx_sse() -> int:
        with bare.stream("POST", PATH, json=BODY) as response:
            return sum(1 for _ in EventSource(response).iter_sse())

    chats = {OURS: ours, "httpx + httpx-sse": httpx_sse}
    if version("httpx2") is not None:
        import httpx2

        client2 = stack.enter_context(httpx2.Client(base_url=url))

        def by_httpx2() -> int:
            with client2.sse(PATH, method="POST", json=BODY) as source:
                return sum(1 for _ in source)

        chats["httpx2"] = by_httpx2

    def times(chat: Callable[[], int]) -> Callable[[int], None]:
        def hold(count: int) -> None:
            for _ in range(count):
                assert chat() == events

        return hold

    return {name: times(chat) for name, chat in chats.items()}


def async_chats(url: str, events: int, *, kept: bool) -> Chats:
    """Return the same for async code; `kept`: with a connection for all, else one for each.

    Ours always opens one for each: a fixture that is not async could not close what is kept.
    """
    idle = None if kept else 0

    async def ours(stack: AsyncExitStack) -> AsyncChat:
        client = await stack.enter_async_context(AsyncSmokeClient(url, token=TOKEN))

        async def chat() -> int:
            async with client.stream_chat(ID, "Are you ready?") as stream:
                return len([event async for event in stream])

        return chat

    async def httpx_sse(stack: AsyncExitStack) -> AsyncChat:
        bare = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, limits=httpx.Limits(max_keepalive_connections=idle))
        )

        async def chat() -> int:
            async with bare.stream("POST", PATH, json=BODY) as response:
                return len([event async for event in EventSource(response).aiter_sse()])

        return chat

    async def by_httpx2(stack: AsyncExitStack) -> AsyncChat:
        import httpx2

        client2 = await stack.enter_async_context(
            httpx2.AsyncClient(base_url=url, limits=httpx2.Limits(max_keepalive_connections=idle))
        )

        async def chat() -> int:
            async with client2.sse(PATH, method="POST", json=BODY) as source:
                return len([event async for event in source])

        return chat

    async def hold(make: Callable[[AsyncExitStack], Awaitable[AsyncChat]], count: int) -> None:
        async with AsyncExitStack() as stack:
            chat = await make(stack)
            for _ in range(count):
                assert await chat() == events

    makers = {OURS: ours, "httpx + httpx-sse": httpx_sse}
    if version("httpx2") is not None:
        makers["httpx2"] = by_httpx2
    return {
        name: lambda count, make=make: anyio.run(hold, make, count) for name, make in makers.items()
    }


def run(scale: float = 1.0, times: int = 9) -> Result:
    result = Result(["chat", "ms", "httpx + httpx-sse", "httpx2"])
    for events, count in ((50, 200), (20_000, 4)):
        events, count = max(int(events * scale), 2), max(int(count * scale), 1)
        with serving(events) as url, ExitStack() as stack:
            for kind, chats in (
                ("sync", sync_chats(url, events, stack)),
                ("async", async_chats(url, events, kept=False)),
                ("async, theirs kept open", async_chats(url, events, kept=True)),
            ):
                turns = rounds({name: partial(chat, count) for name, chat in chats.items()}, times)
                ratios = {name: turns.ratio(name, OURS) for name in chats if name != OURS}
                what = f"{events:,} events, {kind}"
                cells = [ratios.get(name, "-") for name in result.columns[2:]]
                result.add(what, turns.seconds(OURS) / count * 1000, *cells)
                if "kept" in kind:
                    continue
                result.bars += [
                    Bar(f"{what}: against {name}", 1 / ratio, 1.0) for name, ratio in ratios.items()
                ]
    return result
