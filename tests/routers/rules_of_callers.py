"""Rules of who may ask, and of what comes of it if he may not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fastapi.responses import JSONResponse, PlainTextResponse, Response
from rules import Rule
from twin import AnswerError, Row, Twin


def open_to(call: str, who: str, *, known: bool = False) -> Rule:
    """Let a caller in who has a `missing` or a `wrong` token; only to what there is if `known`."""

    def allows(it: Twin, asked: str, authorization: str | None, about: str) -> bool:
        let_in = asked == call and (authorization is None) == (who == "missing")
        if known and it.with_id(about) is None and it.named(about) is None:
            let_in = False
        return let_in or Twin.allows(it, asked, authorization, about)

    return allows


def another_for_strangers() -> dict[str, Rule]:
    """Let callers without a token provision under a known key, and make them an instance."""
    open_to_them = open_to("provision", "missing", known=True)
    strange: list[bool] = []

    def allows(it: Twin, call: str, authorization: str | None, about: str) -> bool:
        strange[:] = [not Twin.allows(it, call, authorization, about)]
        return bool(open_to_them(it, call, authorization, about))

    def provision(it: Twin, key: str) -> Row:
        return it.make(key) if strange[0] else Twin.provision(it, key)

    return {"allows": allows, "provision": provision}


def knows_keys_first(code: int) -> Rule:
    """Refuse a provision under a known key with another code, before the token is looked at."""

    def allows(it: Twin, call: str, authorization: str | None, about: str) -> bool:
        allowed = Twin.allows(it, call, authorization, about)
        if call == "provision" and not allowed and it.named(about) is not None:
            raise AnswerError(JSONResponse({"detail": "The key was used before"}, code))
        return allowed

    return allows


def begins_with_the_token(it: Twin, call: str, authorization: str | None, about: str) -> bool:
    return (authorization or "").startswith(f"Bearer {it.token}")


def lets_in(calls: str, same: Callable[[str, str], bool]) -> Rule:
    """Let a caller in whose header (empty where there is none) is near enough to the right one."""

    def allows(it: Twin, call: str, authorization: str | None, about: str) -> bool:
        near = calls in (call, "any") and same(authorization or "", f"Bearer {it.token}")
        return near or Twin.allows(it, call, authorization, about)

    return allows


def bare(given: str) -> str:
    """Return the token of a header."""
    return given.removeprefix("Bearer").strip()


def of_tokens(same: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    """Compare the tokens of two headers, the first of which has to have the right scheme."""
    return lambda given, right: given.startswith("Bearer") and same(bare(given), bare(right))


def refused_with(calls: str, code: int, detail: Any = "No", **headers: str) -> Rule:
    """Turn callers away in other words, at one call or any."""

    def refuse(it: Twin, call: str, about: str) -> None:
        if calls in (call, "any"):
            raise AnswerError(JSONResponse({"detail": detail}, code, headers))
        Twin.refuse(it, call, about)

    return refuse


def refused_in_html(calls: str) -> Rule:
    """Turn callers away in a gateway's words, at these calls."""

    def refuse(it: Twin, call: str, about: str) -> None:
        if call in calls.split():
            gateway_refuses(it, call, about)
        Twin.refuse(it, call, about)

    return refuse


def by_its_token(missing: int, wrong: int) -> Rule:
    """Turn callers away by whether they have a token."""

    def allows(it: Twin, call: str, authorization: str | None, about: str) -> bool:
        if not Twin.allows(it, call, authorization, about):
            code = missing if authorization is None else wrong
            raise AnswerError(JSONResponse({"detail": "No"}, code))
        return True

    return allows


def slow_to_refuse(seconds: float) -> Rule:
    def refuse(it: Twin, call: str, about: str) -> None:
        time.sleep(seconds)
        Twin.refuse(it, call, about)

    return refuse


def acts_later(
    asked: str, act: Callable[[Twin, str], object], seconds: float = 1.5
) -> dict[str, Rule]:
    """Turn a caller away, and carry out the call so many seconds later."""

    def refuse(it: Twin, call: str, about: str) -> None:
        if call == asked:
            it.__dict__.setdefault("due", []).append((it.clock() + seconds, about))
        Twin.refuse(it, call, about)

    def allows(it: Twin, call: str, authorization: str | None, about: str) -> bool:
        due = it.__dict__.get("due", [])
        for at, what in [entry for entry in due if entry[0] <= it.clock()]:
            due.remove((at, what))
            act(it, what)
        return Twin.allows(it, call, authorization, about)

    return {"refuse": refuse, "allows": allows}


def delete_it(it: Twin, about: str) -> None:
    row = it.with_id(about)
    if row is not None:
        row.deleted = True


def chat_with_it(it: Twin, about: str) -> None:
    row = it.with_id(about)
    if row is not None:
        it.spent(row)


def chat_and_refuse(it: Twin, call: str, about: str) -> None:
    if call == "chat":
        chat_with_it(it, about)
    Twin.refuse(it, call, about)


def reject_and_spend(it: Twin, path: str, faults: list[Any]) -> Response:
    """Reject a message that is too long, when the agent has had it."""
    if path.endswith("/chat"):
        chat_with_it(it, path.split("/")[-2])
    return Twin.reject(it, path, faults)


def delete_and_refuse(it: Twin, call: str, about: str) -> None:
    row = it.with_id(about)
    if call == "delete" and row is not None:
        row.deleted = True
    Twin.refuse(it, call, about)


def make_and_refuse(it: Twin, call: str, about: str) -> None:
    if call == "provision":
        it.make(about)
    Twin.refuse(it, call, about)


def gateway_refuses(it: Twin, call: str, about: str) -> None:
    raise AnswerError(PlainTextResponse("Authorization Required", 401))
