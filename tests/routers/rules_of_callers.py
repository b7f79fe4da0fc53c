"""Rules of who may ask, and of what comes of it if he may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi.responses import JSONResponse, PlainTextResponse, Response
from rules import Rule
from twin import AnswerError, Row, Twin

Act = Callable[[Twin, str], object]
"""What is done with an instance's id or a key."""


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


def refuses_after(act: Act, calls: str = "any") -> Rule:
    """Turn a caller away, and do something with what was asked for before."""

    def refuse(it: Twin, call: str, about: str) -> None:
        if calls in (call, "any"):
            act(it, about)
        Twin.refuse(it, call, about)

    return refuse


def in_words(response: Response) -> Act:
    """Turn a caller away in other words."""

    def act(it: Twin, about: str) -> None:
        raise AnswerError(response)

    return act


def refused_with(calls: str, code: int, detail: Any = "No", **headers: str) -> Rule:
    """Turn callers away in other words, at one call or any."""
    return refuses_after(in_words(JSONResponse({"detail": detail}, code, headers)), calls)


refused_by_a_gateway = in_words(PlainTextResponse("Authorization Required", 401))


def told_by_its_token(code: Callable[[Twin, str, str | None, str], int]) -> Rule:
    """Turn callers away by what they have, and what they ask for; by 0, in the usual way."""

    def allows(it: Twin, call: str, authorization: str | None, about: str) -> bool:
        allowed = Twin.allows(it, call, authorization, about)
        if not allowed and (told := code(it, call, authorization, about)):
            raise AnswerError(JSONResponse({"detail": "No"}, told))
        return allowed

    return allows


def by_its_token(missing: int, wrong: int) -> Rule:
    return told_by_its_token(lambda it, call, given, about: missing if given is None else wrong)


def knows_keys_first(code: int) -> Rule:
    """Refuse a provision under a known key with another code, before the token is looked at."""
    return told_by_its_token(
        lambda it, call, given, about: (call == "provision" and it.named(about) is not None) * code
    )


def acts_later(asked: str, act: Act, seconds: float = 1.5) -> dict[str, Rule]:
    """Turn a caller away, and carry out the call so many seconds later."""

    def later(it: Twin, about: str) -> None:
        it.__dict__.setdefault("due", []).append((it.clock() + seconds, about))

    def allows(it: Twin, call: str, authorization: str | None, about: str) -> bool:
        due = it.__dict__.get("due", [])
        for at, what in [entry for entry in due if entry[0] <= it.clock()]:
            due.remove((at, what))
            act(it, what)
        return Twin.allows(it, call, authorization, about)

    return {"refuse": refuses_after(later, asked), "allows": allows}


def delete_it(it: Twin, about: str) -> None:
    row = it.with_id(about)
    if row is not None:
        row.deleted = True


def chat_with_it(it: Twin, about: str) -> None:
    row = it.with_id(about)
    if row is not None:
        it.spent(row)


def reject_and_spend(it: Twin, path: str, faults: list[Any]) -> Response:
    """Reject a message that is too long, when the agent has had it."""
    if path.endswith("/chat"):
        chat_with_it(it, path.split("/")[-2])
    return Twin.reject(it, path, faults)
