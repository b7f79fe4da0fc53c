"""P7: the fake router as a server, beside bare Starlette, FastAPI and pytest-httpserver.

Requests come one after the other from a client that is little more than a socket; the CPU time is
that of both. All but pytest-httpserver are served by the same uvicorn.
"""

from __future__ import annotations

import http.client
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from statistics import median
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
FIRST_USE = """
import time
from pytest_hydrasmoke.fake import FakeRouter
start = time.perf_counter()
with FakeRouter():
    print(time.perf_counter() - start)
"""


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
        Bar("first use", _first_use(times) * 1000, 50, "ms"),
        Bar("one more fake", _one_more(times) * 1000, 5, "ms"),
        Bar("the end with an open stream", _end(times) * 1000, 250, "ms"),
    ]
    return result


def _first_use(times: int) -> float:
    python = [sys.executable, "-c", FIRST_USE]
    told = [
        subprocess.run(python, capture_output=True, text=True, check=True) for _ in range(times)
    ]
    return median(float(it.stdout) for it in told)


def _one_more(times: int) -> float:
    taken: list[float] = []
    with FakeRouter():
        for _ in range(times):
            start = time.perf_counter()
            with FakeRouter():
                taken.append(time.perf_counter() - start)
    return median(taken)


def _end(times: int) -> float:
    return median(_one_end() for _ in range(times))


def _one_end() -> float:
    """Time the end of a process's last fake while a chat of its hangs."""
    slow = Scenario(row_after=0, statuses=((0, "running"),), event_pause=60)
    opened = threading.Event()
    with FakeRouter(slow) as fake, SmokeClient(fake.url, token=fake.token) as client:
        instance = client.provision(InstanceSpec(**SPEC), "end-0").instance_id

        def listen() -> None:
            connection = http.client.HTTPConnection(urlsplit(fake.url).netloc)
            path = f"{urlsplit(fake.url).path}{PREFIX}/instances/{instance}/chat"
            headers = {
                "authorization": f"Bearer {fake.token}",
                "content-type": "application/json",
                "accept": "text/event-stream",
            }
            connection.request("POST", path, '{"message": "Are you ready?"}', headers)
            response = connection.getresponse()
            opened.set()
            with suppress(OSError, http.client.HTTPException):
                response.read()
            connection.close()

        listener = threading.Thread(target=listen)
        listener.start()
        assert opened.wait(10)
        start = time.perf_counter()
    took = time.perf_counter() - start
    listener.join(10)
    return took
