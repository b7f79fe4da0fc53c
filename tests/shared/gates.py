"""What is served on loopback until a `with` is over; gates stand before a router and change it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from pytest_hydrasmoke.fake import FakeRouter
from pytest_hydrasmoke.fake.server import mount, unmount


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an app; gives its URL."""
    place = mount(app)
    try:
        yield place.url
    finally:
        unmount(place)


async def body_of(receive: Any) -> bytes:
    """Return the whole body of a request."""
    raw, more = b"", True
    while more:
        message = await receive()
        raw += message.get("body", b"")
        more = message.get("more_body", False)
    return raw


async def answer_of(app: Any, scope: Any, receive: Any) -> list[Any]:
    """Have an app answer a request, and return the messages in which it does."""
    sent: list[Any] = []

    async def keep(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, keep)
    return sent


@dataclass
class Front:
    """Stands before a router, and answers itself where a path ends like this."""

    router: FakeRouter
    answer: Any = None
    ends: str = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app = self.answer if scope["path"].endswith(self.ends) else self.router.app
        await app(scope, receive, send)


def saying(router: FakeRouter, *streams: bytes) -> AbstractContextManager[str]:
    """Serve a router whose agents send these streams, one a chat and again from the front."""
    chats = itertools.cycle(streams)

    async def gate(scope: Any, receive: Any, send: Any) -> None:
        async def swap(message: Any) -> None:
            if message["type"] == "http.response.body":
                last = not message.get("more_body", False)
                message = {**message, "body": stream if last else b""}
            await send(message)

        chat = scope["path"].endswith("/chat")
        stream = next(chats) if chat else b""
        await router.app(scope, receive, swap if chat else send)

    return serving(gate)
