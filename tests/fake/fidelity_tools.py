"""Awkward requests, chosen by hand and out of a seed, and what an ASGI app answers to each.

What is asked by chance comes from lists of awkward values; a seed gives the same requests again.
Most are nearly right, since what is all wrong is refused by the first check it meets.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from starlette.types import ASGIApp
from twin import PREFIX, TOKEN

STRANGER = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
SPEC = {"idempotency_key": "k", "manifest_id": "m", "region_id": "r", "tier_id": "t"}
LIMITS = {"idempotency_key": 255, "manifest_id": 100, "region_id": 80, "tier_id": 80}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]
LETTERS = ["x", "é", "🐙", " ", "\x00", "\n", '"', "\\", "\u2028"]


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What can be told apart of an answer."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


SEEN = (b"content-type", b"allow", b"location", b"content-length", b"retry-after")


async def ask(app: ASGIApp, asked: Asked) -> Answer:
    """Put a request to an app; what a server error says of itself is not asked."""
    path, _, query = asked.target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "root_path": "",
        "query_string": query.encode("latin-1"),
        "headers": [(b"host", b"router.example"), *asked.headers],
        "client": ("127.0.0.1", 1),
        "server": ("router.example", 80),
    }
    waiting = [{"type": "http.request", "body": asked.body, "more_body": False}]
    got: list[Any] = []

    async def receive() -> Any:
        if not waiting:
            await asyncio.get_running_loop().create_future()  # the client stays for the answer
        return waiting.pop()

    async def send(message: Any) -> None:
        got.append(message)

    try:
        await app(scope, receive, send)
    except Exception:
        # Starlette answers 500, and raises for the server's log.
        assert got[0]["status"] == 500
    start, *rest = got
    headers = tuple(sorted((n, v) for n, v in start["headers"] if n in SEEN))
    return Answer(start["status"], headers, b"".join(it.get("body", b"") for it in rest))


class Asking:
    """An endless row of requests; `known` are ids that the router may have made."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self.known: list[str] = []

    def next(self) -> Asked:
        dice = self._dice
        method, path, body, query = self._call()
        if dice.random() < 0.08:
            method = dice.choice(METHODS)
        if dice.random() < 0.06:
            path = self._bent(path)
        if dice.random() < 0.03:
            query = dice.choice(["a=b", "window_seconds=x", "%ff", "&&", "window_seconds"])
        kind = self._content_type() if body else None
        headers = [(b"authorization", self._authorization())]
        if kind is not None:
            headers.append((b"content-type", kind.encode("latin-1")))
        if body:
            headers.append((b"content-length", str(len(body)).encode()))
        return Asked(method, f"{path}?{query}" if query else path, tuple(headers), body)

    def _call(self) -> tuple[str, str, bytes, str]:
        one = f"{PREFIX}/instances/{self._id()}"
        calls = [
            lambda: ("POST", f"{PREFIX}/provision", self._bytes(self._order()), ""),
            lambda: ("GET", f"{PREFIX}/instances/by-key/{self._segment()}", b"", ""),
            lambda: ("GET", one, b"", ""),
            lambda: ("DELETE", one, b"", ""),
            lambda: ("POST", f"{one}/chat", self._bytes(self._message()), ""),
            lambda: ("GET", f"{one}/llm-events", b"", self._window()),
        ]
        return self._dice.choices(calls, (5, 1, 2, 1, 5, 3))[0]()

    def _id(self) -> str:
        dice = self._dice
        plain = dice.choice(self.known) if self.known and dice.random() < 0.6 else STRANGER
        if dice.random() < 0.5:
            return plain
        bare = plain.replace("-", "")
        return quote(
            dice.choice(
                [
                    plain.upper(),
                    bare,
                    "{" + plain + "}",
                    "{" + bare + "}",
                    f"urn:uuid:{plain}",
                    f"URN:UUID:{plain}",
                    plain + dice.choice(["x", " ", "0", "-"]),
                    plain[: dice.randrange(len(plain))] or "-",
                    plain.replace("-", dice.choice(["_", "", "--", "\N{EN DASH}"])),
                    plain.replace(plain[dice.randrange(36)], dice.choice("gG-Zé")),
                    dice.choice(["by-key", "null", "0", "%", "..", "a/b", "?", "\x00", "🐙"]),
                ]
            ),
            safe="" if dice.random() < 0.8 else "/{}:",
        )

    def _segment(self) -> str:
        return quote(self._dice.choice(["k", "nobody's", "", "k/", "é", "\x00", "%", "k" * 300]))

    def _window(self) -> str:
        dice = self._dice
        if dice.random() < 0.3:
            return ""
        value = dice.choice(
            [
                *("900", "0", "-1", "+7", "007", " 7 ", "1_000", "1e3", "1.0", "1.5", "0x10"),
                *("NaN", "true", "null", "", "٣", "-0", "9" * 400, "9" * 4301, "seven", "\x00"),
                str(dice.randrange(-(10**20), 10**20)),
            ]
        )
        more = f"&window_seconds={quote(value)}" if dice.random() < 0.1 else ""
        return f"window_seconds={quote(value)}{more}"

    def _value(self, limit: int = 80) -> Any:
        dice = self._dice
        if dice.random() < 0.5:
            return dice.choice(LETTERS) * (limit + dice.choice([-limit, -1, 0, 1, 2, 50]))
        return dice.choice(
            [None, True, 0, -1, 1.5, 10**30, 1e400, [], ["a"], {}, {"a": [None]}, "", "\ud800"]
        )

    def _order(self) -> Any:
        dice = self._dice
        order: dict[str, Any] = {**SPEC, "idempotency_key": f"k{dice.randrange(50)}"}
        for name in [*SPEC, "agent_name", "unknown"]:
            draw = dice.random()
            if draw < 0.12:
                order[name] = self._value(LIMITS.get(name, 80))
            elif draw < 0.2:
                order.pop(name, None)
        return order

    def _message(self) -> Any:
        draw = self._dice.random()
        if draw < 0.4:
            return {"message": "hello"}
        return {"message": self._value(4000)} if draw < 0.8 else {}

    def _bytes(self, value: Any) -> bytes:
        dice = self._dice
        draw = dice.random()
        if draw < 0.05:
            value = self._value()
        text = json.dumps(value, ensure_ascii=draw < 0.5).encode("utf-8", "surrogatepass")
        if draw > 0.9:
            at = dice.randrange(len(text) + 1)
            bent = [text[:at], text[:at] + dice.choice([b"}", b'"', b"\xff", b","]) + text[at:]]
            bent += [b"", text + b" x", b"\xef\xbb\xbf" + text, text.replace(b'"', b"'")]
            return dice.choice(bent)
        return text

    def _content_type(self) -> str | None:
        if self._dice.random() < 0.85:
            return "application/json"
        return self._dice.choice(
            [
                *("application/json; charset=latin-1", "APPLICATION/JSON", "application/x+json"),
                *("application/jsonx", "text/json", "text/plain", "multipart/form-data", "json"),
                *("application/x-www-form-urlencoded", "application/json, text/plain", "/", ";"),
            ]
        )

    def _authorization(self) -> bytes:
        right = f"Bearer {TOKEN}".encode()
        if self._dice.random() < 0.93:
            return right
        wrong = [
            b"",
            b"Bearer",
            right.lower(),
            b"Basic eDp5",
            right + b"x",
            b"\xe9",
        ]
        return self._dice.choice(wrong)

    def _bent(self, path: str) -> str:
        dice = self._dice
        at = dice.randrange(len(path))
        return dice.choice(
            [
                path + "/",
                path.replace("/", "//", 1),
                path.upper(),
                path[:at] or "/",
                path[:at] + "/" + path[at:],
                "/",
                "/openapi.json",
                "/docs",
                path + "/more",
            ]
        )


VALUES: list[Any] = [None, True, 0, 1.5, 1e400, [], ["a"], {}, {"a": 1}, "", "\x00"]
VALUES += ["é" * 80, "🐙" * 81, *("x" * n for n in (80, 81, 100, 101, 255, 256, 4000, 4001))]
WINDOWS = ["900", "", " ", " 7 ", "+7", "-7", "007", "1_000", "1e3", "1.0", "1.5", "0x10", "NaN"]
WINDOWS += ["true", "null", "٣", "9" * 400, "9" * 5000, "-0", "seven", "900,1", "\x00"]
BODIES = [b"", b" ", b"{", b"{}", b"[]", b'"text"', b"7", b"true", b"null", b"not json", b"a=b"]
BODIES += [b'{"message": "a"}', b'{"message": "a",}', b'{"message": "a"} b', b"{'message': 'a'}"]
BODIES += [b'{"message": "\n"}', b'{"message": "\\ud800"}', b'{"message": 1, "message": "a"}']
BODIES += [b'{"message": [NaN, Infinity]}', b"\xef\xbb\xbf{}", b"\xff", b'{"message": "\xe9"}']
BODIES += ['{"message": 5}'.encode("utf-16"), b'{"message": ' + b"9" * 5000 + b"}"]
BODIES += [b'{"message": ' + b"[" * 200_000, b'{"message": "' + b"x" * 100_000 + b'"}']
TYPES = [None, "", "application/json", "application/json; charset=latin-1", "APPLICATION/JSON"]
TYPES += ["application/problem+json", "application/jsonx", "text/json", "text/plain", "nonsense"]
TYPES += ["application/x-www-form-urlencoded", "multipart/form-data"]
TYPES += ["application/json, text/plain"]
TOKENS = ["", "Bearer", f"bearer {TOKEN}", "Bearer x", "Basic eDp5", "\xe9"]


def chosen(known: str) -> Iterator[Asked]:
    """Yield what is awkward by itself, each with all that it may be awkward for.

    `known` is the id of an instance, which is deleted at last.
    """
    one = f"{PREFIX}/instances/{known}"
    spellings = [known, known.upper(), known.replace("-", ""), "{" + known + "}"]
    spellings += ["{" + known.replace("-", "") + "}", f"urn:uuid:{known}", f"URN:UUID:{known}"]
    spellings += [STRANGER, STRANGER + "x", STRANGER[:-1], STRANGER + "%20", "by-key", "x", "%00"]
    spellings += [STRANGER.replace("-", "_"), STRANGER.replace("4", "g", 1), "%C3%A9", "a%2Fb"]
    spellings += ["00000000-0000-0000-0000-000000000000"]
    for spelling in spellings:
        at = f"{PREFIX}/instances/{spelling}"
        yield _asked("GET", at)
        yield from (_asked("GET", f"{at}/llm-events{it}") for it in ("", "?window_seconds=soon"))
        yield from (_asked("POST", f"{at}/chat", it) for it in (b'{"message": "hi"}', b"{}"))
    for window in WINDOWS:
        yield _asked("GET", f"{one}/llm-events?window_seconds={quote(window)}")
    for query in ("window_seconds=1&window_seconds=x", "window_seconds=x&window_seconds=1"):
        yield _asked("GET", f"{one}/llm-events?{query}")
    yield _asked("GET", f"{one}/llm-events?Window_Seconds=x&other=%ff")
    for field, value in itertools.product([*SPEC, "agent_name", "unknown"], VALUES):
        yield _asked("POST", f"{PREFIX}/provision", json.dumps({**SPEC, field: value}).encode())
    for value in VALUES:
        yield _asked("POST", f"{one}/chat", json.dumps({"message": value}).encode())
    for path, body in itertools.product(["/provision", "/instances/x/chat"], BODIES):
        yield _asked("POST", PREFIX + path, body)
    for body, kind in itertools.product(BODIES, TYPES):
        yield _asked("POST", f"{one}/chat", body, kind)
    for token, body in itertools.product(TOKENS, (b'{"message": "hi"}', b"{}")):
        yield _asked("POST", f"{one}/chat", body, token=token)
        yield _asked("GET", one, token=token)
    rest = ["", "/", PREFIX, *(f"{PREFIX}/{it}" for it in ("", "provision", "provision/"))]
    rest += [f"{PREFIX}/instances{it}" for it in ("", "/", "/by-key", "/by-key/", "/by-key/k")]
    rest += [f"{PREFIX}/instances/by-key/{it}" for it in ("k/", "k/l", "a%2Fb", "chat")]
    rest += [one + it for it in ("", "/", "/?a=b", "/chat", "/chat/", "/llm-events")]
    rest += [f"{one}/llm-events/?window_seconds=5", f"{PREFIX}//provision"]
    rest += [PREFIX.upper() + "/provision", "/openapi.json"]
    for method, path in itertools.product([*METHODS, "BREW"], rest):
        yield _asked(method, path)
    for spelling in spellings:
        yield _asked("DELETE", f"{PREFIX}/instances/{spelling}")


def provision(key: str) -> Asked:
    """Return a request for an instance."""
    order = {**SPEC, "idempotency_key": key}
    return _asked("POST", f"{PREFIX}/provision", json.dumps(order).encode())


def _asked(
    method: str,
    target: str,
    body: bytes = b"",
    kind: str | None = "application/json",
    token: str = f"Bearer {TOKEN}",
) -> Asked:
    headers = [(b"authorization", token.encode("latin-1"))]
    if kind is not None:
        headers.append((b"content-type", kind.encode()))
    headers.append((b"content-length", str(len(body)).encode()))
    return Asked(method, target, tuple(headers), body)
