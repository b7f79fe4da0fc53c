"""The fake router as a program of its own: `serve`, and the controls under `/_fake/`."""

from __future__ import annotations

import contextlib
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
from fake_tools import PREFIX, SPEC

from pytest_hydrasmoke.fake import FakeRouter, Scenario, serve

QUICK = Scenario(row_after=0, statuses=((0, "running"),), runtime="text", llm_events_lag=0)


def served(
    work: Callable[[httpx.Client], None],
    number: int = signal.SIGINT,
    signal_itself: bool = True,
    **how: Any,
) -> None:
    """Serve in this thread, do the work in another, and end with a signal, as a user would."""
    failed: list[BaseException] = []

    def announce(url: str, token: str) -> None:
        def visit() -> None:
            headers = {"authorization": f"Bearer {token}"}
            try:
                with httpx.Client(
                    base_url=url, headers=headers, trust_env=False, verify=False
                ) as http:
                    work(http)
            except BaseException as error:
                failed.append(error)
            finally:
                if signal_itself:
                    os.kill(os.getpid(), number)

        visitor.append(threading.Thread(target=visit))
        visitor[0].start()

    visitor: list[threading.Thread] = []
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    serve(QUICK, announce=announce, **how)
    visitor[0].join()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    if failed:
        raise failed[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_until_a_signal(number: int) -> None:
    urls: list[httpx.URL] = []

    def work(http: httpx.Client) -> None:
        urls.append(http.base_url)
        assert http.headers["authorization"] == "Bearer a-token"
        assert http.get(f"{PREFIX}/instances/by-key/k").json()["found"] is False

    served(work, number, token="a-token")
    assert (urls[0].host, urls[0].path) == ("127.0.0.1", "/")
    with pytest.raises(httpx.ConnectError):
        httpx.get(urls[0], trust_env=False)


def test_serve_on_a_port_of_choice() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError):
            serve(port=port)

    def work(http: httpx.Client) -> None:
        assert http.base_url.port == port

    served(work, host="127.0.0.1", port=port)


def test_a_signal_ends_streams_too() -> None:
    rest: list[Exception] = []

    def work(http: httpx.Client) -> None:
        instance_id = http.post(
            f"{PREFIX}/provision", json={"idempotency_key": "k", **SPEC}
        ).json()["instance_id"]
        http.post("/_fake/break_stream", json={"kind": "stall"})
        chat = f"{PREFIX}/instances/{instance_id}/chat"
        with http.stream("POST", chat, json={"message": "hi"}) as answer:
            chunks = answer.iter_raw()
            next(chunks)
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)) as caught:
                next(chunks)
            rest.append(caught.value)

    served(work, signal.SIGINT, signal_itself=False)
    assert rest


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


def test_serve_tells_nobody_by_default() -> None:
    timer = threading.Timer(0.25, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    serve()
    timer.join()


def test_controls() -> None:
    def work(http: httpx.Client) -> None:
        def do(name: str, **arguments: Any) -> None:
            answer = http.post(f"/_fake/{name}", json=arguments)
            assert (answer.status_code, answer.json()) == (200, {})

        chat = {"message": "hi"}
        instance_id = http.post(
            f"{PREFIX}/provision", json={"idempotency_key": "k", **SPEC}
        ).json()["instance_id"]
        one = f"{PREFIX}/instances/{instance_id}"

        do("fail", route="status", status=429, retry_after=3, after=1)
        assert [http.get(one).status_code for _ in range(3)] == [200, 429, 200]
        do("drop", route="status")
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            http.get(one)
        do("break_stream", kind="split", split_at=[5])
        assert http.post(one + "/chat", json=chat).text.endswith("[DONE]\n\n")
        do("reply", match="h", text=["Scripted", "x"], tool_calls=[{"name": "look"}])
        assert http.post(one + "/chat", json=chat).text.startswith("data: Scripted\n\n")
        do("break_stream", kind="end", after_events=0)
        assert http.post(one + "/chat", json=chat).text == ""

        (instance,) = http.get("/_fake/instances").json()
        assert (instance["id"], instance["status"]) == (instance_id, "running")
        requests = http.get("/_fake/requests").json()
        routes = ["provision", *["status"] * 4, *["chat"] * 3]
        assert [request["route"] for request in requests] == routes
        assert requests[4]["status"] is None
        assert requests[5]["body"] == chat
        event, _ = http.get("/_fake/llm_events").json()
        assert (event["instance_id"], event["provider"]) == (instance_id, "anthropic")

        assert http.post("/_fake/reset").json() == {}
        for name in ("instances", "requests", "llm_events"):
            assert http.get(f"/_fake/{name}").json() == []

    served(work)


BAD: list[tuple[str, bytes, str]] = [
    ("fail", b"{", "The body is no JSON object: Invalid JSON: "),
    ("fail", b"\xff", "The body is no JSON object: Invalid JSON: "),
    ("fail", b"[" * 200_000, "The body is no JSON object: Invalid JSON: recursion limit"),
    ("fail", b"[]", "The body is no JSON object: Input should be an object"),
    ("fail", b"", "fail: route is missing"),
    ("fail", b'{"route": "poll", "code": 1}', "fail: unknown key code"),
    ("fail", b'{"route": "poll", "stauts": 1}', "fail: unknown key stauts (did you mean status?)"),
    ("fail", b'{"route": "polls"}', "fail: route is 'polls' (did you mean poll?); it may be 'prov"),
    (
        "drop",
        b'{"route": "poll", "times": "2"}',
        "drop: times is '2'; it should be a valid",
    ),
    ("break_stream", b'{"kind": "split", "split_at": 5}', "break_stream: split_at is 5; it should"),
    ("break_stream", b'{"kind": "cut", "when": 1}', "break_stream: when is 1; it may be 'before'"),
    ("reply", b'{"match": "(", "text": "x"}', "reply: match is no regular expression: "),
    ("reset", b'{"all": true}', "reset: unknown key all"),
]


def test_bad_controls() -> None:
    def work(http: httpx.Client) -> None:
        for name, content, sentence in BAD:
            answer = http.post(f"/_fake/{name}", content=content)
            assert answer.status_code == 422
            [entry] = answer.json()["detail"]
            assert entry["msg"].startswith(sentence)
            assert entry["loc"] == ["body"]
        for method, path, status in [
            ("GET", "/_fake/fail", 405),
            ("GET", "/_fake/elsewhere", 404),
            ("GET", "/elsewhere", 404),
        ]:
            answer = http.request(method, path)
            assert (answer.status_code, list(answer.json())) == (status, ["detail"])

    served(work)


def test_a_record_of_what_utf8_can_not_hold() -> None:
    def work(http: httpx.Client) -> None:
        content = b'{"a": "\\ud800", "b": NaN}'
        http.post(f"{PREFIX}/provision", content=content)
        (request,) = http.get("/_fake/requests").json()
        assert request["body"] == {"a": "\ud800", "b": None}

    served(work)


def test_whoever_waits_for_it_needs_no_token_and_is_no_request() -> None:
    def work(http: httpx.Client) -> None:
        with httpx.Client(base_url=http.base_url, trust_env=False, verify=False) as stranger:
            answer = stranger.get("/healthz")
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
            assert stranger.head("/healthz").status_code == 200
            assert stranger.post("/healthz").status_code == 405
        assert http.get("/_fake/requests").json() == []

    served(work)
    with FakeRouter() as router:
        assert httpx.get(f"{router.url}/healthz", trust_env=False, verify=False).is_success
        assert router.requests == ()


# Pages in a browser

PAGE, OTHER, STRANGE = "https://app.example", "http://127.0.0.1:3000", "https://evil.example"


def preflight(http: httpx.Client, origin: str, path: str, method: str) -> httpx.Response:
    """Ask as a browser does before it sends what a page may not send unasked."""
    asked = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "authorization,content-type",
    }
    return httpx.request("OPTIONS", f"{http.base_url}{path}", headers=asked, trust_env=False)


def test_pages_of_a_named_origin_may_call_it() -> None:
    def work(http: httpx.Client) -> None:
        chat = f"{PREFIX}/instances/497f6eca-6276-4993-bfeb-53cbbbba6f08/chat"
        for path, method in (
            (f"{PREFIX}/provision", "POST"),
            (chat, "POST"),
            (chat.removesuffix("/chat"), "DELETE"),
            ("/_fake/fail", "POST"),
        ):
            for origin in (PAGE, OTHER):
                allowed = preflight(http, origin, path, method)
                assert allowed.status_code == 200
                assert allowed.headers["access-control-allow-origin"] == origin
                assert method in allowed.headers["access-control-allow-methods"]
                assert "authorization" in allowed.headers["access-control-allow-headers"]
            stranger = preflight(http, STRANGE, path, method)
            assert stranger.status_code == 400
            assert "access-control-allow-origin" not in stranger.headers
        # What asks for leave is no request to the router.
        assert http.get("/_fake/requests").json() == []
        http.post("/_fake/fail", json={"route": "poll", "status": 429, "retry_after": 3})
        for origin, seen in ((PAGE, PAGE), (STRANGE, None)):
            answer = http.get(f"{PREFIX}/instances/by-key/k", headers={"origin": origin})
            assert answer.headers.get("access-control-allow-origin") == seen
        # Nor does an origin stand for the token, and the page may read that.
        refusal = httpx.get(
            f"{http.base_url}/_fake/requests", headers={"origin": PAGE}, trust_env=False
        )
        assert refusal.status_code == 401
        assert refusal.headers["access-control-allow-origin"] == PAGE
        assert refusal.headers["access-control-expose-headers"] == "retry-after"

    served(work, cors_origins=(PAGE, OTHER))


@pytest.mark.parametrize(
    "origin",
    ["*", "app.example", "https://app.example/", "https://App.example", "file://", "https://a b"],
)
def test_what_no_browser_sends_as_an_origin(origin: str) -> None:
    with pytest.raises(ValueError, match=r"is no origin, such as https://app\.example"):
        serve(cors_origins=(PAGE, origin))


# Who may ask for controls

CONTROLS = (
    ("GET", "/_fake/instances", b""),
    ("GET", "/_fake/requests", b""),
    ("GET", "/_fake/llm_events", b""),
    ("POST", "/_fake/reset", b""),
    ("POST", "/_fake/reply", b'{"match": "", "text": "hit"}'),
    ("POST", "/_fake/fail", b'{"route": "poll"}'),
    ("POST", "/_fake/drop", b'{"route": "poll"}'),
    ("POST", "/_fake/break_stream", b'{"kind": "cut"}'),
)
STRANGERS: tuple[dict[str, str], ...] = (
    {},
    {"host": "router.example"},
    {"host": "localhost"},
    {"host": "127.0.0.1"},
    {"origin": "https://router.example"},
    {"origin": "null"},
    {"host": "router.example", "origin": "http://router.example"},
    {"content-type": "text/plain"},
    {"content-type": "application/x-www-form-urlencoded"},
    {"content-type": "application/json", "cookie": "authorization=Bearer a-token"},
    *({"authorization": it} for it in ("", "Bearer", "Bearer a-toke", "Bearer a-token2")),
    *({"authorization": it} for it in ("bearer a-token", "Basic YS10b2tlbg==", "Bearer é")),
)
SECRET_KEY = "a-key-that-nobody-else-is-told"


def test_controls_answer_nobody_without_the_token() -> None:
    def work(http: httpx.Client) -> None:
        order = {"idempotency_key": SECRET_KEY, **SPEC}
        one = http.post(f"{PREFIX}/provision", json=order).json()["instance_id"]
        with httpx.Client(base_url=http.base_url, trust_env=False, verify=False) as stranger:
            for headers in STRANGERS:
                raw = {name: value.encode() for name, value in headers.items()}
                for method, path, content in CONTROLS:
                    # Whoever has no token at all tries more than the path.
                    more = () if headers else (f"{path}/", f"{path}?token=a-token")
                    for way in (path, *more):
                        answer = stranger.request(method, way, content=content, headers=raw)
                        assert answer.status_code == 401
                        assert list(answer.json()) == ["detail"]
                        assert "access-control-allow-origin" not in answer.headers
                        assert SECRET_KEY not in answer.text
        # No control was carried out: what was provisioned is there, and no fault comes.
        assert http.get(f"{PREFIX}/instances/by-key/{SECRET_KEY}").json()["found"] is True
        said = http.post(f"{PREFIX}/instances/{one}/chat", json={"message": "hi"})
        assert said.text.endswith("[DONE]\n\n")
        assert "hit" not in said.text
        routes = [it["route"] for it in http.get("/_fake/requests").json()]
        assert routes == ["provision", "poll", "chat"]

    served(work, token="a-token")


def test_whoever_has_the_token_may_come_from_anywhere() -> None:
    def work(http: httpx.Client) -> None:
        strange = {
            "host": "router.example",
            "origin": "https://router.example",
            "content-type": "text/plain",
        }
        for method, path, content in CONTROLS:
            assert http.request(method, path, content=content, headers=strange).status_code == 200
        http.post("/_fake/reset")
        answer = http.get(f"{PREFIX}/instances/by-key/k", headers=strange)
        assert answer.json()["found"] is False

    served(work)
