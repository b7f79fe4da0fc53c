"""The fake router as a program of its own: `serve`, and the controls under `/_fake/`."""

from __future__ import annotations

import inspect
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import httpx
import pytest
from fake_tools import LOST, PREFIX, SOMEBODY_ELSES, SPEC

from pytest_hydrasmoke.fake import Scenario, serve

QUICK = Scenario(row_after=0, statuses=((0, "running"),), runtime="text", llm_events_lag=0)
PAGE, OTHER, STRANGE = "https://app.example", "http://127.0.0.1:3000", "https://evil.example"


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

    def says(self, one: str) -> str:
        return self.http.post(f"{one}/chat", json={"message": "hi"}).text

    def do(self, name: str, **arguments: Any) -> None:
        answer = self.http.post(f"/_fake/{name}", json=arguments)
        assert (answer.status_code, answer.json()) == (200, {})

    def seen(self, name: str) -> Any:
        return self.http.get(f"/_fake/{name}").json()


def served(work: Callable[[Visitor], None], number: int | None = signal.SIGINT, **how: Any) -> None:
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
    serve(QUICK, announce=announce, **how)
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
        assert [it["route"] for it in visitor.seen("requests")] == ["poll"]

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
        visitor.do("break_stream", kind="stall")
        with visitor.http.stream("POST", f"{one}/chat", json={"message": "hi"}) as answer:
            chunks = answer.iter_raw()
            next(chunks)
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(LOST) as caught:
                next(chunks)
            lost.append(caught.value)

    served(work, None)
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


# Controls


def test_controls() -> None:
    def work(visitor: Visitor) -> None:
        one = visitor.provision()
        visitor.do("fail", route="status", status=429, retry_after=3, after=1)
        assert [visitor.http.get(one).status_code for _ in range(3)] == [200, 429, 200]
        visitor.do("drop", route="status")
        with pytest.raises(LOST):
            visitor.http.get(one)
        visitor.do("break_stream", kind="split", split_at=[5])
        assert visitor.says(one).endswith("[DONE]\n\n")
        visitor.do("reply", match="h", text=["Scripted", "x"], tool_calls=[{"name": "look"}])
        assert visitor.says(one).startswith("data: Scripted\n\n")
        visitor.do("break_stream", kind="end", after_events=0)
        assert visitor.says(one) == ""

        (instance,) = visitor.seen("instances")
        assert (instance["id"], instance["status"]) == (one.rpartition("/")[2], "running")
        requests = visitor.seen("requests")
        routes = ["provision", *["status"] * 4, *["chat"] * 3]
        assert [request["route"] for request in requests] == routes
        assert (requests[4]["status"], requests[5]["body"]) == (None, {"message": "hi"})
        event, _ = visitor.seen("llm_events")
        assert (event["instance_id"], event["provider"]) == (instance["id"], "anthropic")

        visitor.do("reset")
        assert [visitor.seen(it) for it in ("instances", "requests", "llm_events")] == [[]] * 3

    served(work)


# What else a control can't mean is told as by the method of its name: `test_values.py`.
BAD: list[tuple[str, bytes, str]] = [
    ("fail", b"{", "The body is no JSON object: Invalid JSON: "),
    ("fail", b"\xff", "The body is no JSON object: Invalid JSON: "),
    ("fail", b"[" * 200_000, "The body is no JSON object: Invalid JSON: recursion limit"),
    ("fail", b"[]", "The body is no JSON object: Input should be an object"),
    ("fail", b"", "fail: route is missing"),
    ("fail", b'{"route": "poll", "stauts": 1}', "fail: unknown key stauts (did you mean status?)"),
    ("drop", b'{"route": "poll", "times": "2"}', "drop: times is '2'; it should be a valid "),
    ("break_stream", b'{"kind": "cut", "when": 1}', "break_stream: when is 1; it may be 'before'"),
    ("reply", b'{"match": "(", "text": "x"}', "reply: match is no regular expression: "),
    ("reset", b'{"all": true}', "reset: unknown key all"),
]


def test_bad_controls() -> None:
    def work(visitor: Visitor) -> None:
        for name, content, sentence in BAD:
            answer = visitor.http.post(f"/_fake/{name}", content=content)
            assert answer.status_code == 422
            [entry] = answer.json()["detail"]
            assert entry["msg"].startswith(sentence)
            assert (entry["loc"], entry["type"]) == (["body"], "value_error")
        for path, status in (("/_fake/fail", 405), ("/_fake/elsewhere", 404), ("/elsewhere", 404)):
            answer = visitor.http.get(path)
            assert (answer.status_code, list(answer.json())) == (status, ["detail"])
        # What UTF-8 can't hold is in a record.
        visitor.http.post(f"{PREFIX}/provision", content=b'{"a": "\\ud800", "b": NaN}')
        assert visitor.seen("requests")[-1]["body"] == {"a": "\ud800", "b": None}

    served(work)


# Who may ask for controls: whoever has the token, from anywhere

CONTROLS = (
    *(("GET", f"/_fake/{it}", b"") for it in ("instances", "requests", "llm_events")),
    ("POST", "/_fake/reply", b'{"match": "", "text": "hit"}'),
    ("POST", "/_fake/fail", b'{"route": "poll"}'),
    ("POST", "/_fake/drop", b'{"route": "poll"}'),
    ("POST", "/_fake/break_stream", b'{"kind": "cut"}'),
    ("POST", "/_fake/reset", b""),
)
FOREIGN = {"host": "router.example", "origin": "https://router.example"}
STRANGERS: tuple[dict[str, str], ...] = (
    {},
    {"host": "localhost"},
    {"origin": "null"},
    {**FOREIGN, "content-type": "text/plain"},
    {"content-type": "application/json", "cookie": "authorization=Bearer a-token"},
    *({"authorization": it} for it in ("", "Bearer", "Bearer a-toke", "Bearer a-token2")),
    *({"authorization": it} for it in ("bearer a-token", "Basic YS10b2tlbg==", "Bearer é")),
)
SECRET_KEY = "a-key-that-nobody-else-is-told"


def test_controls_answer_nobody_without_the_token() -> None:
    def work(visitor: Visitor) -> None:
        one = visitor.provision(SECRET_KEY)
        for headers in STRANGERS:
            raw = {name: value.encode() for name, value in headers.items()}
            for method, path, content in CONTROLS:
                # Whoever has no token at all tries more than the path.
                for way in (path, *(() if headers else (f"{path}/", f"{path}?token=a-token"))):
                    answer = visitor.stranger.request(method, way, content=content, headers=raw)
                    assert (answer.status_code, list(answer.json())) == (401, ["detail"])
                    assert "access-control-allow-origin" not in answer.headers
                    assert SECRET_KEY not in answer.text
        # No control was carried out: what was provisioned is there, and no fault comes.
        poll = f"{PREFIX}/instances/by-key/{SECRET_KEY}"
        assert visitor.http.get(poll).json()["found"] is True
        said = visitor.says(one)
        assert said.endswith("[DONE]\n\n")
        assert "hit" not in said
        assert [it["route"] for it in visitor.seen("requests")] == ["provision", "poll", "chat"]
        foreign = {**FOREIGN, "content-type": "text/plain"}
        for method, path, content in CONTROLS:
            answer = visitor.http.request(method, path, content=content, headers=foreign)
            assert answer.status_code == 200
        assert visitor.http.get(poll, headers=foreign).json()["found"] is False

    served(work, token="a-token")


# Pages in a browser


def test_pages_of_a_named_origin_may_call_it() -> None:
    def work(visitor: Visitor) -> None:
        one = f"{PREFIX}/instances/{SOMEBODY_ELSES}"
        origins = ((PAGE, 200, PAGE), (OTHER, 200, OTHER), (STRANGE, 400, None))
        for path, method in ((f"{one}/chat", "POST"), (one, "DELETE"), ("/_fake/fail", "POST")):
            # As a browser asks before it sends what a page may not send unasked.
            asked = {"access-control-request-method": method}
            asked["access-control-request-headers"] = "authorization,content-type"
            for origin, status, seen in origins:
                answer = visitor.stranger.options(path, headers={"origin": origin, **asked})
                assert answer.status_code == status
                assert answer.headers.get("access-control-allow-origin") == seen
                assert answer.headers["access-control-allow-methods"] == "GET, POST, DELETE"
                assert "authorization" in answer.headers["access-control-allow-headers"]
        # What asks for leave is no request to the router.
        assert visitor.seen("requests") == []
        for origin, _, seen in origins:
            answer = visitor.http.get(f"{PREFIX}/instances/by-key/k", headers={"origin": origin})
            assert answer.headers.get("access-control-allow-origin") == seen
        # Nor does an origin stand for the token, and the page may read that.
        refusal = visitor.stranger.get("/_fake/requests", headers={"origin": PAGE})
        assert refusal.status_code == 401
        assert refusal.headers["access-control-allow-origin"] == PAGE
        assert refusal.headers["access-control-expose-headers"] == "retry-after"

    served(work, cors_origins=(PAGE, OTHER))
    bad = ("*", "app.example", f"{PAGE}/", "https://App.example", "file://", "https://a b")
    for origin in bad:
        with pytest.raises(ValueError, match=r"is no origin, such as https://app\.example"):
            serve(cors_origins=(PAGE, origin))
