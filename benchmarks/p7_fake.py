"""P7: the fake router as a server, beside bare Starlette, FastAPI and pytest-httpserver.

Requests come one after the other from a client that is little more than a socket; the CPU time is
that of both. All but pytest-httpserver are served by the same uvicorn.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from bench_fake import PREFIX, SPEC
from bench_machine import version
from bench_measure import rounds
from bench_result import Bar, Result
from bench_streams import ID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from pytest_hydrasmoke import InstanceSpec, SmokeClient
from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.server import mount, unmount

ANSWER = {"id": ID, "hostname": None, "status": "running"}
PATH = PREFIX + "/instances/{instance_id}"


async def _starlette_status(request: Request) -> JSONResponse:
    return JSONResponse(ANSWER)


@contextmanager
def _mounted(app: ASGIApp) -> Generator[str]:
    place = mount(app)
    try:
        yield f"{place.url}{PREFIX}/instances/{ID}"
    finally:
        unmount(place)


def _fastapi() -> ASGIApp:
    from uuid import UUID

    from fastapi import FastAPI
    from pydantic import BaseModel

    class Status(BaseModel):
        id: str
        hostname: str | None = None
        status: str

    app = FastAPI(openapi_url=None)

    async def status(instance_id: UUID) -> Status:
        return Status(id=str(instance_id), status="running")

    status.__annotations__ = {"instance_id": UUID, "return": Status}
    app.get(PATH)(status)
    return app


@contextmanager
def _httpserver() -> Generator[str]:
    from pytest_httpserver import HTTPServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    with HTTPServer(host="127.0.0.1") as server:
        server.expect_request(f"/{ID}").respond_with_json(ANSWER)
        yield server.url_for(f"/{ID}")


def getter(url: str, token: str, count: int) -> Callable[[], None]:
    """Return what asks a URL so many times, over one connection where the server keeps it."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 80)
    head = f"GET {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {token}"
    request = f"{head}\r\n\r\n".encode()

    def get() -> None:
        with ExitStack() as stack:
            connection: socket.socket | None = None
            done = 0
            while done < count:
                if connection is None:
                    connection = stack.enter_context(socket.create_connection(address))
                answer = _asked(connection, request)
                if not answer or b"Connection: close" in answer:
                    connection.close()
                    connection = None
                if answer:
                    assert b" 200 " in answer[:15], answer
                    done += 1

    return get


def _asked(connection: socket.socket, request: bytes) -> bytes:
    """Send, and give the answer with its body, which is an object; b"" if the server hung up."""
    try:
        connection.sendall(request)
        answer = connection.recv(65536)
        while answer and not answer.rstrip().endswith(b"}"):
            more = connection.recv(65536)
            if not more:
                return b""
            answer += more
    except ConnectionError:
        return b""
    return answer


def run(count: int = 1000, times: int = 5) -> Result:
    result = Result(["server", "requests a second of CPU", "against bare Starlette"])
    with ExitStack() as stack:
        fake = stack.enter_context(FakeRouter(Scenario(row_after=0, statuses=((0, "running"),))))
        with SmokeClient(fake.url, token=fake.token) as client:
            instance = client.provision(InstanceSpec(**SPEC), "bench-0").instance_id
        bare = Starlette(routes=[Route(PATH, _starlette_status)])
        urls = {
            "the fake": f"{fake.url}{PREFIX}/instances/{instance}",
            "Starlette": stack.enter_context(_mounted(bare)),
        }
        if version("fastapi") is not None:
            urls["FastAPI"] = stack.enter_context(_mounted(_fastapi()))
        if version("pytest-httpserver") is not None:
            urls["pytest-httpserver"] = stack.enter_context(_httpserver())
        gets = {name: getter(url, fake.token, count) for name, url in urls.items()}
        turns = rounds(gets, times)
    for name in urls:
        result.add(name, count / turns.seconds(name), 1 / turns.ratio(name, "Starlette"))
    result.bars = [
        Bar(
            "time of a request against bare Starlette",
            turns.ratio("the fake", "Starlette"),
            1 / 0.7,
        ),
    ]
    return result
