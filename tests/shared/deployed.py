"""What stands before a fake router and changes in the middle of a run: as the first DELETE comes.

Five gateways lie from then on, and the instance stays alive; the other changes are those of a
router that is deployed meanwhile, and stays right.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from gates import answer_of
from starlette.responses import JSONResponse, Response
from truth_app import PREFIX, is_uuid

from pytest_hydrasmoke.fake import FakeRouter

Kind = Literal["id", "malformed", "key", "provision", "other"]


@dataclass(frozen=True)
class Asked:
    """A request, as far as gateways tell requests apart."""

    kind: Kind
    method: str
    about: str
    number: int
    """Counts from 0, since the change began."""


Change = Callable[[Asked, Response], Response]
"""Makes of an answer another one."""


def asked_of(method: str, path: str, number: int) -> Asked:
    parts = path.partition(f"{PREFIX}/")[2].split("/")
    kind: Kind = "other"
    if parts[0] == "provision":
        kind = "provision"
    elif parts[:2] == ["instances", "by-key"]:
        kind = "key"
    elif parts[0] == "instances" and len(parts) > 1:
        kind = "id" if is_uuid(parts[1]) else "malformed"
    return Asked(kind, method, "/".join(parts[1:]), number)


@dataclass
class Gate:
    """An application before a router: it lies about some requests, and changes other answers.

    What it lies about never reaches the router. Both begin with the first DELETE, or sooner with
    the request of this number.
    """

    router: FakeRouter
    lies: Mapping[Kind, Callable[[], Response]] = field(default_factory=dict)
    change: Change = lambda asked, answer: answer
    begins: float = math.inf
    began: bool = False
    number: int = 0
    """How many requests have come; once it has begun, of these."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not self.began and (scope["method"] == "DELETE" or self.number >= self.begins):
            self.began, self.number = True, 0
        if not self.began:
            self.number += 1
            await self.router.app(scope, receive, send)
            return
        asked = asked_of(scope["method"], scope["path"], self.number)
        self.number += 1
        lie = self.lies.get(asked.kind)
        if lie is None:
            head, *rest = await answer_of(self.router.app, scope, receive)
            own = Response(b"".join(it.get("body", b"") for it in rest), head["status"])
            own.raw_headers = list(head["headers"])
            answer = self.change(asked, own)
        else:
            answer = lie()
        await answer(scope, receive, send)

    def stop(self) -> None:
        """Let the router answer as it did before."""
        self.lies, self.change = {}, lambda asked, answer: answer


def not_found(words: str = "Instance not found", code: int = 404) -> Response:
    return JSONResponse({"detail": words}, code)


def _no_such_path() -> Response:
    return not_found("Not Found")


def _no_record() -> Response:
    return not_found("No such record")


def _no_row() -> Response:
    return JSONResponse({"found": False, "instance_id": None, "status": None})


GATEWAYS: dict[str, dict[Kind, Callable[[], Response]]] = {
    "a token that is revoked": {"id": not_found, "key": not_found, "provision": not_found},
    "another application behind a gateway that validates": {
        "id": _no_such_path,
        "key": _no_such_path,
        "provision": _no_such_path,
        "other": _no_such_path,
    },
    "status and delete have moved": {"id": _no_such_path},
    "another application's ids, and no key is found": {
        "id": _no_record,
        "key": _no_row,
        "other": _no_such_path,
    },
    "an empty database": {"id": not_found, "key": _no_row},
}
"""They lie about an instance that stays alive."""


def _told(answer: Response, make: Callable[[dict[str, Any]], dict[str, Any]]) -> Response:
    """Return an error answer with another body."""
    if answer.status_code < 400:
        return answer
    return JSONResponse(make(json.loads(bytes(answer.body))), answer.status_code)


def in_other_words(asked: Asked, answer: Response) -> Response:
    own = answer.status_code == 404 and asked.kind in ("id", "key")
    return not_found("There is no such instance") if own else answer


def with_one_more_field(asked: Asked, answer: Response) -> Response:
    return _told(answer, lambda body: {**body, "code": "E-17"})


def in_another_order(asked: Asked, answer: Response) -> Response:
    first, last = {"code": "E-17"}, {"trace": None}
    return _told(
        answer,
        lambda body: {**last, **body, **first} if asked.number % 2 else {**first, **body, **last},
    )


def by_another_server(asked: Asked, answer: Response) -> Response:
    answer.headers["server"] = "gateway/2"
    return answer


def down_at_first(asked: Asked, answer: Response) -> Response:
    """Answer 502 and 503 to the first requests: who asks again comes through."""
    if asked.number < 4:
        return Response("<h1>502</h1>", 502 + asked.number % 2, media_type="text/html")
    return in_other_words(asked, answer)


def down_for(seconds: float) -> Change:
    """Return a change that answers 502 and 503 for so long, and then in other words."""
    began: list[float] = []

    def change(asked: Asked, answer: Response) -> Response:
        began.append(time.monotonic())
        is_down = began[-1] < began[0] + seconds
        return down_at_first(replace(asked, number=asked.number % 4 if is_down else 4), answer)

    return change


def by_turns(asked: Asked, answer: Response) -> Response:
    return with_one_more_field(asked, answer) if asked.number % 2 else answer


def at_random(seed: int) -> Change:
    """Return a change that has two versions answer, each at any time."""
    draw = random.Random(seed)
    return lambda asked, answer: draw.choice((with_one_more_field, by_another_server))(
        asked, answer
    )


def gone_for_good() -> Change:
    """Return a change that says 410 of what was deleted; what never was is still 404."""
    deleted = set[str]()

    def change(asked: Asked, answer: Response) -> Response:
        if asked.method == "DELETE":
            deleted.add(asked.about)
        if answer.status_code == 404 and asked.about in deleted:
            return not_found("This instance was deleted", 410)
        return answer

    return change


DEPLOYED: dict[str, Callable[[], Change]] = {
    "other words": lambda: in_other_words,
    "one more field": lambda: with_one_more_field,
    "another order of fields": lambda: in_another_order,
    "another server": lambda: by_another_server,
    "502 and 503 between": lambda: down_at_first,
    "two versions by turns": lambda: by_turns,
    "two versions at random": lambda: at_random(7),
    "410 for what was deleted": gone_for_good,
}
"""Routers that are right, before and after."""
