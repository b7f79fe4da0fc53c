"""Rules that break a router's contract, or bend it: what takes the place of a method of `Twin`.

Here those of answers and rejections; `rules_of_*` has the others.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse, Response
from twin import Row, Twin

LEFT_OUT = object()
SOMEBODY = "5e0c1c4a-9f0b-4a55-8d3e-0d9a4f6b7c21"

Rule = Callable[..., Any]


# What is answered


def says(call: str, **fields: Any) -> Rule:
    """Answer a call with other fields: values, or functions of the router and of what was said."""

    def answer(it: Twin, asked: str, said: dict[str, Any]) -> Any:
        if asked != call:
            return said
        now = {key: value(it, said) if callable(value) else value for key, value in fields.items()}
        return {key: value for key, value in {**said, **now}.items() if value is not LEFT_OUT}

    return answer


def says_whole(call: str, response: Response) -> Rule:
    """Answer a call with something else altogether."""
    return lambda it, asked, said: response if asked == call else said


def from_the_second_on(rule: Rule) -> Rule:
    """Answer the first question about a key as it should be."""
    asked_before: set[str] = set()

    def answer(it: Twin, asked: str, said: dict[str, Any]) -> Any:
        key = said.get("idempotency_key")
        if key is None or key in asked_before:
            return rule(it, asked, said)
        asked_before.add(key)
        return said

    return answer


def random_id(it: Twin, said: dict[str, Any]) -> str:
    return str(uuid.uuid4())


def newest_id(it: Twin, said: dict[str, Any]) -> str:
    return it.rows[-1].id


def grows(call: str, name: str) -> Rule:
    """Count how often it was asked, too."""
    numbers = itertools.count()
    return says(call, **{name: lambda it, said: said[name] + next(numbers)})


def shows(*calls: str) -> Rule:
    """Go on as if nothing had been deleted, for these calls."""
    return lambda it, call, row: call in calls or Twin.shown(it, call, row)


def always_found(call: str) -> Rule:
    """Take any id for an instance's, in one call."""

    def found(it: Twin, asked: str, instance_id: str) -> Row:
        known = it.with_id(instance_id) is not None
        return (
            Twin.found(it, asked, instance_id) if known or asked != call else Row("k", instance_id)
        )

    return found


def refuses(call: str, code: int, *, after: float = 0.0) -> Rule:
    """Refuse a call about an instance, from so many seconds after it was asked for."""

    def found(it: Twin, asked: str, instance_id: str) -> Row:
        row = Twin.found(it, asked, instance_id)
        if asked == call and it.clock() >= row.born + after:
            raise HTTPException(code, "No")
        return row

    return found


def limited(*codes: int, **headers: str) -> Rule:
    """Refuse every second request of every call with a limit of the moment; a chat is not taken."""
    numbers: dict[str, itertools.count[int]] = {}

    def allows(it: Twin, call: str, authorization: str | None, about: str) -> bool:
        number = next(numbers.setdefault(call, itertools.count()))
        if number % 2 == 0:
            raise HTTPException(codes[number % len(codes)], "Slow down", headers=headers)
        return Twin.allows(it, call, authorization, about)

    return allows


def slow(call: str, seconds: float) -> Rule:
    """Answer a call so many seconds late, by what was so when it was asked."""

    def answer(it: Twin, asked: str, said: dict[str, Any]) -> Any:
        if asked == call:
            time.sleep(seconds)
        return said

    return answer


def deletes_later(seconds: float) -> dict[str, Rule]:
    """Say that an instance is being deleted, and that it is deleted so much later."""
    begun: dict[str, float] = {}

    def delete(it: Twin, row: Row) -> None:
        begun.setdefault(row.id, it.clock())
        row.deleted = True

    def word(it: Twin, row: Row) -> str:
        going = row.deleted and it.clock() < begun[row.id] + seconds
        return "deleting" if going else Twin.word(it, row)

    return {"delete": delete, "word": word}


def word_later(seconds: float) -> Rule:
    """Tell an instance's status so many seconds late, in a poll."""

    def status(it: Twin, said: dict[str, Any]) -> str:
        row = it.with_id(said["instance_id"])
        late = row is not None and it.clock() < row.born + seconds
        return "booting" if late else str(said["status"])

    return status


# What is rejected


def faults_as(code: int, detail: Any) -> Rule:
    """Reject what breaks the contract in other words."""
    return lambda it, path, faults: JSONResponse({"detail": detail}, code)


def malformed_is(code: int, end: str) -> Rule:
    """Answer a malformed id with another code, at one call."""

    def reject(it: Twin, path: str, faults: list[Any]) -> Response:
        if path.endswith(end) and any("instance_id" in fault["loc"] for fault in faults):
            return JSONResponse({"detail": "Instance not found"}, code)
        return Twin.reject(it, path, faults)

    return reject


def fault(*loc: str, message: str = "Field required") -> HTTPException:
    return HTTPException(422, [{"loc": loc, "msg": message, "type": "missing"}])


def not_more_than_bytes(it: Twin, row: Row, message: str) -> Response:
    if len(message.encode()) > it.longest_message:
        raise fault("body", "message", message="at most 4000 bytes")
    return Twin.stream(it, row, message)


def keys_up_to(length: int) -> Rule:
    """Refuse a key in a poll's path that is longer."""

    def named(it: Twin, key: str) -> Row | None:
        if len(key) > length:
            raise fault("path", "idempotency_key", message=f"at most {length} characters")
        return Twin.named(it, key)

    return named


def windows_up_to(seconds: int) -> Rule:
    """Refuse a longer window."""

    def counted(it: Twin, row: Row, window: int) -> list[str]:
        if window > seconds:
            raise fault("query", "window_seconds", message=f"at most {seconds}")
        return Twin.counted(it, row, window)

    return counted


def faults_named(code: int, kind: str, detail: Any) -> Rule:
    """Reject one kind of fault in other words."""

    def reject(it: Twin, path: str, faults: list[Any]) -> Response:
        if faults[0]["type"] == kind:
            return JSONResponse({"detail": detail}, code)
        return Twin.reject(it, path, faults)

    return reject
