"""Awkward requests, chosen by hand and out of a seed, and what an ASGI app answers to each.

What is asked by chance comes from the same lists; a seed gives the same requests again. Most are
nearly right, since what is all wrong is refused by the first check it meets.
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

from fake_tools import SOMEBODY_ELSES as STRANGER
from starlette.types import ASGIApp
from twin import PREFIX, TOKEN

SPEC = {"idempotency_key": "k", "manifest_id": "m", "region_id": "r", "tier_id": "t"}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]


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


# What is awkward

VALUES: list[Any] = [None, True, 0, 1.5, 1e400, 10**30, [], ["a"], {}, {"a": 1}, "", "\x00"]
VALUES += [
    "\ud800",
    '\n"\\\u2028',
    "é" * 80,
    "🐙" * 81,
    *("x" * n for n in (80, 81, 100, 101, 255, 256, 4000, 4001)),
]
WINDOWS = ["900", "0", "", " ", " 7 ", "+7", "-7", "007", "1_000", "1e3", "1.0", "1.5", "0x10"]
WINDOWS += ["NaN", "true", "null", "٣", "9" * 400, "9" * 5000, "-0", "seven", "900,1", "\x00"]
BODIES = [b"", b" ", b"{", b"{}", b"[]", b'"text"', b"7", b"true", b"null", b"not json", b"a=b"]
BODIES += [b'{"message": "a"}', b'{"message": "a",}', b'{"message": "a"} b', b"{'message': 'a'}"]
BODIES += [b'{"message": "\n"}', b'{"message": "\\ud800"}', b'{"message": 1, "message": "a"}']
BODIES += [b'{"message": [NaN, Infinity]}', b"\xef\xbb\xbf{}", b"\xff", b'{"message": "\xe9"}']
BODIES += ['{"message": 5}'.encode("utf-16"), b'{"message": ' + b"9" * 5000 + b"}"]
BODIES += [b'{"message": ' + b"[" * 200_000, b'{"message": "' + b"x" * 100_000 + b'"}']
TYPES = [None, "", "application/json", "application/json; charset=latin-1", "APPLICATION/JSON"]
TYPES += ["application/problem+json", "application/jsonx", "text/json", "text/plain", "nonsense"]
TYPES += ["application/x-www-form-urlencoded", "multipart/form-data", "/", ";"]
TYPES += ["application/json, text/plain"]
RIGHT = f"Bearer {TOKEN}"
TOKENS = ["", "Bearer", f"bearer {TOKEN}", f"{RIGHT}x", "Bearer x", "Basic eDp5", "\xe9"]
QUERIES = ["window_seconds=1&window_seconds=x", "window_seconds=x&window_seconds=1"]
QUERIES += ["Window_Seconds=x&other=%ff", "a=b", "&&", "window_seconds"]
IDS = ["by-key", "null", "0", "x", "%", "%00", "..", "?", "%C3%A9", "a%2Fb", "a/b", "🐙"]
IDS += [STRANGER.replace("-", it) for it in ("_", "--", "\N{EN DASH}")]
IDS += [STRANGER + it for it in ("x", "%20", "-")] + [STRANGER[:-1], STRANGER.replace("4", "g", 1)]
IDS += ["00000000-0000-0000-0000-000000000000"]


def spellings(known: str) -> list[str]:
    """Return how an id may be spelt, as the contract has it or nearly so."""
    bare = known.replace("-", "")
    spelt = [known, known.upper(), bare, f"{{{known}}}", f"{{{bare}}}"]
    return [*spelt, f"urn:uuid:{known}", f"URN:UUID:{known}", STRANGER, *IDS]


def paths(one: str) -> list[str]:
    """Return what is nearly a path of the contract; `one` is that of an instance."""
    rest = ["", "/", PREFIX, *(f"{PREFIX}/{it}" for it in ("", "provision", "provision/"))]
    rest += [f"{PREFIX}/instances{it}" for it in ("", "/", "/by-key", "/by-key/", "/by-key/k")]
    rest += [f"{PREFIX}/instances/by-key/{it}" for it in ("k/", "k/l", "a%2Fb", "chat")]
    rest += [one + it for it in ("", "/", "/?a=b", "/chat", "/chat/", "/llm-events")]
    rest += [f"{one}/llm-events/?window_seconds=5", f"{PREFIX}//provision"]
    return [*rest, f"{PREFIX.upper()}/provision", "/openapi.json", "/docs", f"{one}/more"]


def chosen(known: str) -> Iterator[Asked]:
    """Yield what is awkward by itself, each with all that it may be awkward for.

    `known` is the id of an instance, which is deleted at last.
    """
    one = f"{PREFIX}/instances/{known}"
    for spelling in spellings(known):
        at = f"{PREFIX}/instances/{quote(spelling, safe='%/{}:')}"
        yield _asked("GET", at)
        yield from (_asked("GET", f"{at}/llm-events{it}") for it in ("", "?window_seconds=soon"))
        yield from (_asked("POST", f"{at}/chat", it) for it in (b'{"message": "hi"}', b"{}"))
    for query in (*(f"window_seconds={quote(it)}" for it in WINDOWS), *QUERIES):
        yield _asked("GET", f"{one}/llm-events?{query}")
    for field, value in itertools.product([*SPEC, "agent_name", "unknown"], VALUES):
        yield provision(**{field: value})
    for value in VALUES:
        yield _asked("POST", f"{one}/chat", json.dumps({"message": value}).encode())
    for path, body in itertools.product(["/provision", "/instances/x/chat"], BODIES):
        yield _asked("POST", PREFIX + path, body)
    for body, kind in itertools.product(BODIES, TYPES):
        yield _asked("POST", f"{one}/chat", body, kind)
    for token, body in itertools.product(TOKENS, (b'{"message": "hi"}', b"{}")):
        yield _asked("POST", f"{one}/chat", body, token=token)
        yield _asked("GET", one, token=token)
    for method, path in itertools.product([*METHODS, "BREW"], paths(one)):
        yield _asked(method, path)
    for spelling in spellings(known):
        yield _asked("DELETE", f"{PREFIX}/instances/{quote(spelling, safe='%/{}:')}")


class Asking:
    """An endless row of requests; `known` are ids that the router may have made."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self.known: list[str] = []

    def next(self) -> Asked:
        dice = self._dice
        own = dice.choice(self.known) if self.known and self._now(0.6) else STRANGER
        spelling = dice.choice(spellings(own)) if self._now(0.5) else own
        one = f"{PREFIX}/instances/{quote(spelling, safe='' if self._now(0.8) else '%/{}:')}"
        key = quote(dice.choice(["k", "nobody's", "", "k/", "é", "\x00", "%", "k" * 300]))
        window = f"?window_seconds={quote(dice.choice(WINDOWS))}" if self._now(0.7) else ""
        message = {"message": "hello"} if self._now(0.4) else {"message": dice.choice(VALUES)}
        calls = [
            ("POST", f"{PREFIX}/provision", self._bytes(self._order())),
            ("GET", f"{PREFIX}/instances/by-key/{key}", b""),
            ("GET", one, b""),
            ("DELETE", one, b""),
            ("POST", f"{one}/chat", self._bytes(message)),
            ("GET", f"{one}/llm-events{window}", b""),
        ]
        [(method, target, body)] = dice.choices(calls, (5, 1, 2, 1, 5, 3))
        if self._now(0.08):
            method = dice.choice(METHODS)
        if self._now(0.06):
            at = dice.randrange(len(target))
            target = dice.choice([*paths(one), target[:at] or "/", target[:at] + "/" + target[at:]])
        if self._now(0.03) and "?" not in target:
            target = f"{target}?{dice.choice(QUERIES)}"
        kind = dice.choice(TYPES) if self._now(0.15) else "application/json"
        return _asked(method, target, body, kind, dice.choice(TOKENS) if self._now(0.07) else RIGHT)

    def _now(self, chance: float) -> bool:
        return self._dice.random() < chance

    def _order(self) -> Any:
        order: dict[str, Any] = {**SPEC, "idempotency_key": f"k{self._dice.randrange(50)}"}
        for name in [*SPEC, "agent_name", "unknown"]:
            if self._now(0.12):
                order[name] = self._dice.choice(VALUES)
            elif self._now(0.09):
                order.pop(name, None)
        return order

    def _bytes(self, value: Any) -> bytes:
        if self._now(0.05):
            return self._dice.choice(BODIES)
        text = json.dumps(value, ensure_ascii=self._now(0.5)).encode("utf-8", "surrogatepass")
        if self._now(0.1):
            at = self._dice.randrange(len(text) + 1)
            more = self._dice.choice([b"}", b'"', b"\xff", b",", b""])
            return text[:at] + more + (text[at:] if more else b"")
        return text


def provision(**fields: Any) -> Asked:
    """Return a request for an instance."""
    return _asked("POST", f"{PREFIX}/provision", json.dumps({**SPEC, **fields}).encode())


def _asked(
    method: str,
    target: str,
    body: bytes = b"",
    kind: str | None = "application/json",
    token: str = RIGHT,
) -> Asked:
    headers = [(b"authorization", token.encode("latin-1"))]
    if kind is not None:
        headers.append((b"content-type", kind.encode()))
    headers.append((b"content-length", str(len(body)).encode()))
    return Asked(method, target, tuple(headers), body)
