"""What the tests of the transport share: a request and its answer, and servers that say nothing."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from faulty_server import Behaviour, Line, Received, answer, head
from net_tools import SOME_ID, close, io_of

from pytest_hydrasmoke._transport.protocol import Answer, Request

PATH = f"/internal/v1/smoke/instances/{SOME_ID}"
ONE = Request("status", "GET", PATH)
STATUS = answer({"id": SOME_ID, "status": "running"})


async def send(
    kind: str, url: str, seconds: float = 20.0, *, request: Request = ONE, **link: Any
) -> Answer:
    """Send a request over an IO of its own."""
    io = io_of(kind, url, **link)
    try:
        return await io.send(request, io.now() + seconds)
    finally:
        await close(io)


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """Accept connections of which nothing is read; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextlib.contextmanager
def dropping(address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Let an address drop every SYN: its queue of those who wait to be accepted is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((address, port), backlog=0))
        place = listener.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(place)
        yield place[1]


def tunnel_to(port: int) -> Behaviour:
    """Be a proxy whose every tunnel leads to a port of this machine."""

    def tunnel(line: Line, request: Received) -> None:
        line.send(head(200))
        line.relay("127.0.0.1", port)

    return tunnel


def without_proxies(environment: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            environment.delenv(name)


class NameServer:
    """Knows `router.example` by these addresses, or not at all; asked by threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.speaks = threading.Event()
        self.speaks.set()
        self.asked = self.answered = 0
        ask = socket.getaddrinfo

        def resolve(host: str, port: Any, *more: Any, **others: Any) -> Any:
            if host != "router.example":
                return ask(host, port, *more, **others)
            self.asked += 1
            assert self.speaks.wait(60)
            self.answered += 1
            if not addresses:
                raise socket.gaierror(-2, "Name or service not known")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (it, port)) for it in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
