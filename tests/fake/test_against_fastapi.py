"""The fake against its FastAPI twin over sockets: whatever is awkward, a request at a time."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import fastapi
import httpx
import pytest
import twin

from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.server import mount, unmount

P = "/internal/v1/smoke"
UUID = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
SPEC = {"idempotency_key": "k", "manifest_id": "m", "region_id": "r", "tier_id": "t"}
# What FastAPI makes of a body that doesn't say what it is, and of a bare `null`, has changed.
STRICT = "strict_content_type" in inspect.signature(fastapi.FastAPI.__init__).parameters


@dataclass
class Pair:
    """The two servers, on one address."""

    http: httpx.Client
    fake_url: str
    twin_url: str

    def ask(self, url: str, method: str, path: str, **request: Any) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {twin.TOKEN}", **request.pop("headers", {})}
        answer = self.http.request(method, url + path, headers=headers, **request)
        location = answer.headers.get("location", "")
        return {
            "status": answer.status_code,
            "content-type": answer.headers.get("content-type"),
            "allow": answer.headers.get("allow"),
            "location": location.replace(url, "<base>", 1),
            "body": answer.text,
        }

    def compare(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        fake = self.ask(self.fake_url, method, path, **request)
        assert fake == self.ask(self.twin_url, method, path, **request)
        return fake


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    # No connection twice: after a 500 the twin's is closed, whether the client knows it or not.
    limits = httpx.Limits(max_keepalive_connections=0)
    at_once = Scenario(row_after=0, statuses=((0, "running"),))
    with (
        FakeRouter(at_once, twin.TOKEN) as router,
        httpx.Client(trust_env=False, verify=False, limits=limits) as http,
    ):
        place = mount(twin.build(twin.AtOnce(twin.beside(router))))
        yield Pair(http, router.url, place.url)
        unmount(place)


SPELLINGS = [
    UUID,
    UUID.upper(),
    UUID.replace("-", ""),
    "{" + UUID + "}",
    "{" + UUID.replace("-", "") + "}",
    "urn:uuid:" + UUID,
    "URN:UUID:" + UUID,
    UUID + "x",
    UUID[:-1],
    UUID + "%20",
    UUID.replace("-", "_"),
    UUID.replace("4", "g", 1),
    "00000000-0000-0000-0000-000000000000",
    "by-key",
    "1",
    "%00",
    "%FF",
    "%C3%A9",
    "%F0%9F%90%99",
    "a%2Fb",
    "..%2F..",
    "%3Fx",
    "%23x",
]
INSTANCE_CALLS = [
    ("GET", "", {}),
    ("DELETE", "", {}),
    ("GET", "/llm-events", {}),
    ("GET", "/llm-events", {"params": {"window_seconds": "soon"}}),
    ("POST", "/chat", {"json": {"message": "hi"}}),
    ("POST", "/chat", {"json": {}}),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(("method", "tail", "request_"), INSTANCE_CALLS)
def test_every_spelling_of_an_id(
    pair: Pair, method: str, tail: str, request_: dict[str, Any], spelling: str
) -> None:
    pair.compare(method, f"{P}/instances/{spelling}{tail}", **request_)


@pytest.mark.parametrize(
    "window",
    [
        *("900", "", " ", " 7 ", "+7", "-7", "007", "1_000", "1e3", "1.0", "1.5", "0x10", "NaN"),
        *("true", "null", "٣", "9" * 400, "9" * 5000, "-0", "seven", "900,1", "\x00"),
    ],
)
def test_every_window(pair: Pair, window: str) -> None:
    pair.compare("GET", f"{P}/instances/{UUID}/llm-events", params={"window_seconds": window})


def test_a_window_given_twice_and_other_parameters(pair: Pair) -> None:
    for query in ("window_seconds=1&window_seconds=x", "window_seconds=x&window_seconds=1"):
        pair.compare("GET", f"{P}/instances/{UUID}/llm-events?{query}")
    pair.compare("GET", f"{P}/instances/{UUID}/llm-events?Window_Seconds=x&other=%ff")


VALUES: list[Any] = [None, True, 0, 1.5, 1e400, [], ["a"], {}, {"a": 1}, "", "x" * 80, "x" * 81]
VALUES += ["x" * 100, "x" * 101, "x" * 255, "x" * 256, "é" * 80, "🐙" * 81, "\x00"]


@pytest.mark.parametrize("field", [*SPEC, "agent_name", "unknown"])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:9])
def test_every_field_of_provision(pair: Pair, field: str, value: Any) -> None:
    body = json.dumps({**SPEC, field: value})
    headers = {"content-type": "application/json"}
    pair.compare("POST", f"{P}/provision", content=body, headers=headers)


@pytest.mark.parametrize("value", [*VALUES, "x" * 4000, "x" * 4001], ids=lambda v: repr(v)[:9])
def test_every_message(pair: Pair, value: Any) -> None:
    body = json.dumps({"message": value})
    headers = {"content-type": "application/json"}
    pair.compare("POST", f"{P}/instances/{UUID}/chat", content=body, headers=headers)


BODIES = [
    b"",
    b" ",
    b"{",
    b"{}",
    b"[]",
    b'"text"',
    b"7",
    b"true",
    b"not json",
    b'{"message": "a",}',
    b'{"message": "a"} b',
    b"{'message': 'a'}",
    b'{"message": "\n"}',
    b'{"message": "\\ud800"}',
    b'{"message": 1, "message": "a"}',
    b'{"message": [NaN, Infinity]}',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe",
    b'{"message": "\xe9"}',
    '{"message": 5}'.encode("utf-16"),
    b'{"message": ' + b"9" * 5000 + b"}",
    b'{"message": ' + b"[" * 200_000,
    b'{"message": "' + b"x" * 100_000 + b'"}',
    *([b"null"] if STRICT else []),
]
TYPES = [
    "application/json",
    "application/json; charset=latin-1",
    "APPLICATION/JSON",
    "application/problem+json",
    "application/jsonx",
    "text/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "nonsense",
    "application/json, text/plain",
    *([None, ""] if STRICT else []),
]


@pytest.mark.parametrize("content", BODIES, ids=lambda content: repr(content)[:20])
@pytest.mark.parametrize("path", ["/provision", f"/instances/{UUID}/chat", "/instances/x/chat"])
def test_every_body_as_json(pair: Pair, path: str, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    pair.compare("POST", P + path, content=content, headers=headers)


@pytest.mark.parametrize("type_", TYPES, ids=str)
@pytest.mark.parametrize("content", [b"", b"{}", b'{"message": "a"}', b"a=b", b"\xff"])
def test_every_content_type(pair: Pair, type_: str | None, content: bytes) -> None:
    headers = {} if type_ is None else {"content-type": type_}
    pair.compare("POST", f"{P}/instances/{UUID}/chat", content=content, headers=headers)


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "bearer a-token-of-the-twin", "Bearer x", "Basic eDp5", "\xe9"],
)
@pytest.mark.parametrize("body", [{"message": "hi"}, {}])
def test_a_bad_token_comes_after_a_bad_request_and_before_a_missing_instance(
    pair: Pair, authorization: str, body: dict[str, str]
) -> None:
    headers = {"authorization": authorization.encode("latin-1")}
    seen = pair.compare("POST", f"{P}/instances/{UUID}/chat", json=body, headers=headers)
    assert seen["status"] == (401 if body else 422)
    assert pair.compare("GET", f"{P}/instances/{UUID}", headers=headers)["status"] == 401


PATHS = ["", "/", P, f"{P}/", f"{P}/provision", f"{P}/provision/", f"{P}/instances"]
PATHS += [f"{P}/instances/", f"{P}/instances/by-key", f"{P}/instances/by-key/"]
PATHS += [f"{P}/instances/by-key/k", f"{P}/instances/by-key/k/", f"{P}/instances/by-key/k/l"]
PATHS += [f"{P}/instances/by-key/a%2Fb", f"{P}/instances/by-key/chat", f"{P}/instances/{UUID}"]
PATHS += [f"{P}/instances/{UUID}/", f"{P}/instances/{UUID}/?a=b", f"{P}/instances/{UUID}/chat"]
PATHS += [f"{P}/instances/{UUID}/chat/", f"{P}/instances/{UUID}/llm-events/?window_seconds=5"]
PATHS += [f"{P}/instances/{UUID}/llm-events", f"{P}//provision", P.upper() + "/provision"]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_on_every_path(pair: Pair, method: str, path: str) -> None:
    pair.compare(method, path)


def test_a_slash_too_many_redirects_under_the_prefix(pair: Pair) -> None:
    seen = pair.compare("GET", f"{P}/instances/{UUID}/?a=b")
    assert (seen["status"], seen["location"]) == (307, f"<base>{P}/instances/{UUID}?a=b")
