"""The fake router as a program of its own: `serve`."""

from __future__ import annotations

import inspect
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import httpx
import pytest
from fake_tools import LOST, PREFIX, SPEC

from pytest_hydrasmoke.fake import Scenario, serve

QUICK = Scenario(row_after=0, statuses=((0, "running"),), runtime="text", llm_events_lag=0)


class Visitor:
    """Who calls a served fake, with its token or without."""

    def __init__(self, url: str, token: str) -> None:
        options: dict[str, Any] = {"base_url": url, "trust_env": False, "verify": False}
        self.http = httpx.Client(headers={"authorization": f"Bearer {token}"}, **options)
        self.stranger = httpx.Client(**options)

    def provision(self, key: str = "k") -> str:
        """Provision an instance, and return where it is."""
        answer = self.http.post(f"{PREFIX}/provision", json={"idempotency_key": key, **SPEC})
        return f"{PREFIX}/instances/{answer.json()['instance_id']}"


def served(
    work: Callable[[Visitor], None],
    number: int | None = signal.SIGINT,
    scenario: Scenario = QUICK,
    **how: Any,
) -> None:
    """Serve in this thread, do the work in another, and end with a signal, as a user would."""
    failed: list[BaseException] = []
    visits: list[threading.Thread] = []

    def announce(url: str, token: str) -> None:
        def visit() -> None:
            visitor = Visitor(url, token)
            try:
                with visitor.http, visitor.stranger:
                    work(visitor)
            except BaseException as error:
                failed.append(error)
            finally:
                if number is not None:
                    os.kill(os.getpid(), number)

        visits.append(threading.Thread(target=visit))
        visits[0].start()

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    serve(scenario, announce=announce, **how)
    visits[0].join()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    if failed:
        raise failed[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_until_a_signal(number: int) -> None:
    urls: list[httpx.URL] = []

    def work(visitor: Visitor) -> None:
        urls.append(visitor.http.base_url)
        assert visitor.http.headers["authorization"] == "Bearer a-token"
        assert visitor.http.get(f"{PREFIX}/instances/by-key/k").json()["found"] is False
        # Whoever waits for it needs no token, and is no request.
        answer = visitor.stranger.get("/healthz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert visitor.stranger.head("/healthz").status_code == 200
        assert visitor.stranger.post("/healthz").status_code == 405
        # Nothing tells what it has seen, or changes it.
        for path in ("/_fake/requests", "/_fake/fail", "/elsewhere"):
            assert visitor.http.get(path).status_code == 404

    served(work, number, token="a-token")
    assert (urls[0].host, urls[0].path) == ("127.0.0.1", "/")
    with pytest.raises(httpx.ConnectError):
        httpx.get(urls[0], trust_env=False, verify=False)


def test_serve_on_a_port_of_choice_and_tell_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 is taken"):
            serve(port=port)
    timer = threading.Timer(0.25, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    serve(port=port)
    timer.join()
    urls: list[httpx.URL] = []
    served(lambda visitor: urls.append(visitor.http.base_url), host="127.0.0.1", port=port)
    assert [url.port for url in urls] == [port]


def test_a_signal_ends_streams_too() -> None:
    lost: list[BaseException] = []

    def work(visitor: Visitor) -> None:
        one = visitor.provision()
        with visitor.http.stream("POST", f"{one}/chat", json={"message": "hi"}) as answer:
            chunks = answer.iter_raw()
            next(chunks)
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(LOST) as caught:
                next(chunks)
            lost.append(caught.value)

    served(work, None, scenario=replace(QUICK, event_pause=60.0))
    assert lost


def test_further_signals_at_every_step_of_its_end() -> None:
    came: list[int] = []

    def give_up(number: int, frame: FrameType | None) -> None:
        raise AssertionError("it did not end")

    def trace(frame: FrameType, event: str, arg: object) -> Callable[..., Any]:
        # One signal before every line, also of what it calls, such as a lock's.
        signal.raise_signal(signal.SIGTERM if came else signal.SIGINT)
        came.append(frame.f_lineno)
        return trace

    def announce(url: str, token: str) -> None:
        here = inspect.currentframe()
        assert here is not None
        assert here.f_back is not None
        here.f_back.f_trace = trace
        sys.settrace(trace)

    # Once it has restored the handlers, the last signals of the trace reach these.
    before = {
        number: signal.signal(number, lambda number, frame: None)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, give_up)
    timer = threading.Timer(20, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
    timer.start()
    traced = sys.gettrace()
    try:
        serve(QUICK, announce=announce)
    finally:
        sys.settrace(traced)
        timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
    assert len(came) > 20
    assert not [one for one in threading.enumerate() if one.name == "hydrasmoke-fake"]
