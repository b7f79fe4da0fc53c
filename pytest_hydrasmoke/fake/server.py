"""One uvicorn in a daemon thread, and the worlds mounted on it under path prefixes.

All code for threads, sockets and uvicorn lives here. A process has one shared server for all its
fake routers: it starts with the first and stops with the last. When a world is removed, the
connections of its unfinished answers are closed, so that none of its streams keeps the server
alive. A world on a port of its own has a server of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import errno
import itertools
import logging
import socket
import threading
from concurrent import futures
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from pytest_hydrasmoke._base.clock import now, wait

from .chat_stream import HANG_UP, hang_up

_LOGGERS = ("uvicorn.error", "uvicorn.access")
_PATIENCE = 10.0
"""Seconds for work in the loop, which takes less than a hundredth: a bug must fail, not hang."""
_INTERVAL = 0.001
_TRANSPORT = "pytest_hydrasmoke.transport"


class _Connection(H11Protocol):
    """A connection whose requests know its transport: ASGI has no way to close it unanswered."""

    # uvicorn narrows the type of the transport in the same way.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, _TRANSPORT: transport}


class Server:
    """A listening address and the thread that serves it, from creation to `close`.

    Raises OSError where the address can't be bound.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        six = family == socket.AF_INET6
        # From here on connections are accepted, even if the thread takes a moment to start.
        try:
            self._socket = socket.create_server(
                (host, port), family=family, backlog=256, dualstack_ipv6=six
            )
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            words = f"port {port} of {host} is taken: choose another, or 0 for any that is free"
            raise OSError(error.errno, words) from None
        # Its connections inherit it; asyncio would leave Nagle's algorithm on: 44 ms per answer.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host, port = self._socket.getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if six else f"http://{host}:{port}"
        self._mounts: dict[str, ASGIApp] = {}
        self._busy: dict[asyncio.Task[object], tuple[str, asyncio.Transport]] = {}
        self._loop = asyncio.new_event_loop()
        # Under `-X dev` asyncio would log its own activity in the middle of users' tests.
        self._loop.set_debug(False)
        # All that waits here does so by the loop's time.
        self._loop.time = now  # type: ignore[method-assign]
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._main, name="hydrasmoke-fake", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        return not self._mounts

    def mount(self, prefix: str, app: ASGIApp) -> None:
        """Serve an app under a prefix such as `/w3`, or under "" for all other paths."""
        self._mounts[prefix] = app

    def unmount(self, prefix: str) -> None:
        """Stop serving it, and drop what it is still answering."""
        done = asyncio.run_coroutine_threadsafe(self._unmount(prefix), self._loop)
        wait(lambda seconds: futures.wait([done], seconds).done, _PATIENCE)
        done.result(0)

    async def _unmount(self, prefix: str) -> None:
        del self._mounts[prefix]
        concerned = {task: via for task, (busy, via) in self._busy.items() if busy == prefix}
        for transport in concerned.values():
            transport.abort()
        if concerned:
            await asyncio.wait(concerned)

    def close(self) -> None:
        """Close every connection, the address and the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        wait(self._has_ended, _PATIENCE)

    def _has_ended(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _main(self) -> None:
        here = threading.get_ident()

        def from_elsewhere(record: logging.LogRecord) -> bool:
            return record.thread != here

        # uvicorn logs its lifecycle on loggers of the whole process, and a test run's log capture
        # would show that. Only this thread's records are held back.
        loggers = [logging.getLogger(name) for name in _LOGGERS]
        for logger in loggers:
            logger.addFilter(from_elsewhere)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._socket.close()
            self._loop.close()
            for logger in loggers:
                logger.removeFilter(from_elsewhere)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request by the world under its prefix."""
        first = "/" + scope["path"].split("/", 2)[1]
        prefix = first if first in self._mounts else ""
        # A world that is gone must not answer 404, which would mean "deleted".
        app = self._mounts.get(prefix, hang_up)
        transport = scope["state"][_TRANSPORT]
        extensions = {**scope.get("extensions", {}), HANG_UP: transport.close}
        task = asyncio.current_task()
        assert task is not None
        self._busy[task] = (prefix, transport)
        try:
            await app({**scope, "root_path": prefix, "extensions": extensions}, receive, send)
        finally:
            del self._busy[task]

    async def _serve(self) -> None:
        server = uvicorn.Server(
            uvicorn.Config(
                self._answer,
                http=_Connection,
                ws="none",
                interface="asgi3",
                lifespan="off",
                log_config=None,
                proxy_headers=False,
                # Longer than any test: a connection closed between two polls makes a client flaky.
                timeout_keep_alive=3600,
            )
        )
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve(sockets=[self._socket]))
            while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
                await asyncio.sleep(_INTERVAL)
            await self._stop.wait()
            # Where a listener closes, asyncio loses connections that it is about to accept.
            self._loop.remove_reader(self._socket)
            connections, own = server.server_state.connections, {asyncio.current_task(), serving}
            # One that was accepted, and is not among them yet, has a task.
            while connections or asyncio.all_tasks() - own:
                for connection in connections:
                    connection.transport.abort()
                await asyncio.sleep(_INTERVAL)
            for listener in server.servers:
                listener.close()
            # Without connections to wait for, uvicorn's own shutdown sleeps twice 0.1 s.
            serving.cancel()


_lock = threading.Lock()
_numbers = itertools.count()
_servers: dict[int, Server] = {}
"""By the port that was asked for: 0 is the shared one."""


@dataclass(frozen=True, slots=True)
class Mounted:
    server: Server
    prefix: str
    port: int

    @property
    def url(self) -> str:
        return self.server.url + self.prefix


def mount(app: ASGIApp, port: int = 0) -> Mounted:
    """Serve an app on a port, or under a prefix of the shared server, starting it if necessary.

    Raises OSError where the port can't be bound.
    """
    with _lock:
        server = Server(port=port) if port else _servers.get(0) or Server()
        place = Mounted(server, "" if port else f"/w{next(_numbers)}", port)
        _servers[port] = server
        server.mount(place.prefix, app)
        return place


def unmount(place: Mounted) -> None:
    """Stop serving it, and stop the server if it was the last one."""
    with _lock:
        place.server.unmount(place.prefix)
        if place.server.idle:
            place.server.close()
            del _servers[place.port]


def _close_all() -> None:
    # For fake routers never closed; a daemon thread would be frozen with open sockets.
    for server in tuple(_servers.values()):
        server.close()


atexit.register(_close_all)
