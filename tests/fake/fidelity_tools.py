"""Requests out of a seed, and what an ASGI app answers to each: no socket, no waiting.

What is asked comes from lists of awkward values, mixed by chance; a seed gives the same requests
again. Most are nearly right, since what is all wrong is refused by the first check it meets.
"""

from __future__ import annotations

import asyncio
import json
import random
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
