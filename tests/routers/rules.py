"""Rules that break a router's contract, or bend it: what takes the place of a method of `Twin`."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from twin import AnswerError, LlmEvent, Row, Twin

LEFT_OUT = object()
SOMEBODY = "5e0c1c4a-9f0b-4a55-8d3e-0d9a4f6b7c21"

Rule = Callable[..., Any]


# Authorization


def open_to(call: str, who: str, *, known: bool = False) -> Rule:
    """Let a caller in who has a `missing` or a `wrong` token; only to what there is if `known`."""

    def allows(it: Twin, asked: str, authorization: str | None, about: str) -> bool:
        let_in = asked == call and (authorization is None) == (who == "missing")
        if known and it.with_id(about) is None and it.named(about) is None:
            let_in = False
        return let_in or Twin.allows(it, asked, authorization, about)

    return allows


def begins_with_the_token(it: Twin, call: str, authorization: str | None, about: str) -> bool:
    return (authorization or "").startswith(f"Bearer {it.token}")


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


# What is kept apart


def first_alive(it: Twin, key: str) -> Row:
    """Return every key the same instance."""
    alive = [row for row in it.rows if not row.deleted]
    row = alive[0] if alive else it.make(key)
    it.__dict__.setdefault("keys", {})[key] = row
    return row


def by_any_key(it: Twin, key: str) -> Row | None:
    row: Row | None = it.__dict__.get("keys", {}).get(key)
    return row or Twin.named(it, key)


def alike(same: Callable[[str, str], bool]) -> Rule:
    """Find an instance by any key that is like its own; its own comes first."""
    return lambda it, key: (
        Twin.named(it, key) or next((row for row in it.rows if same(row.key, key)), None)
    )


def delete_all(it: Twin, row: Row) -> None:
    for each in it.rows:
        each.deleted = True


# What is counted


def events(of: Callable[[Row, LlmEvent, float, int], bool]) -> Rule:
    """Count by another rule: of the row asked for, an event, its age in seconds, and the window."""

    def counted(it: Twin, row: Row, window: int) -> list[str]:
        now = it.clock()
        rows = [event for event in it.usage if event.at <= now]
        return [event.provider for event in rows if of(row, event, now - event.at, window)]

    return counted


def throws_away(it: Twin, row: Row, window: int) -> list[str]:
    now = it.clock()
    it.usage = [event for event in it.usage if now - event.at <= window]
    return Twin.counted(it, row, window)


UNSAID = 86_399
"""A window that nobody gives, and so one that was not given."""


def nothing_unless_said(it: Twin, row: Row, window: int) -> list[str]:
    return [] if window == UNSAID else Twin.counted(it, row, window)


def names_900(it: Twin, said: dict[str, Any]) -> int:
    return 900 if said["window_seconds"] == UNSAID else int(said["window_seconds"])


def leaves(number: int) -> Rule:
    """Leave so many rows after a turn."""

    def spent(it: Twin, row: Row) -> None:
        for _ in range(number):
            Twin.spent(it, row)

    return spent


# What an agent says


def frames(*texts: str, spends: bool = True, media: str = "text/event-stream") -> Rule:
    """Answer a chat with this stream."""

    def stream(it: Twin, row: Row, message: str) -> Response:
        def turn() -> Iterator[str]:
            yield from texts
            if spends:
                it.spent(row)

        return StreamingResponse(turn(), media_type=media)

    return stream


def cut_after(*texts: str) -> Rule:
    """Break the connection after these frames."""

    def stream(it: Twin, row: Row, message: str) -> Response:
        def turn() -> Iterator[str]:
            yield from texts
            raise ConnectionAbortedError("the agent is gone")

        return StreamingResponse(turn(), media_type="text/event-stream")

    return stream


def silent_after(*texts: str) -> Rule:
    """Say nothing more after these frames, for longer than anybody waits."""

    def stream(it: Twin, row: Row, message: str) -> Response:
        def turn() -> Iterator[str]:
            yield from texts
            time.sleep(4)

        return StreamingResponse(turn(), media_type="text/event-stream")

    return stream


def instead_of_a_stream(response: Response) -> Rule:
    return lambda it, row, message: response


def not_at_once(code: int) -> Rule:
    """Refuse an instance's first chat: its status was ready a moment before its agent."""
    asked: set[str] = set()

    def stream(it: Twin, row: Row, message: str) -> Response:
        if row.id not in asked:
            asked.add(row.id)
            raise HTTPException(code, "The agent is not ready")
        return Twin.stream(it, row, message)

    return stream


def never_ready(code: int) -> Rule:
    """Refuse every chat for the moment, although the status is ready."""

    def stream(it: Twin, row: Row, message: str) -> Response:
        raise HTTPException(code, "The agent is not ready")

    return stream


def no_provision(code: int, detail: Any = "No") -> Rule:
    """Refuse every provision."""

    def provision(it: Twin, key: str) -> Row:
        raise HTTPException(code, detail)

    return provision


def not_named(*loc: str) -> Rule:
    """Refuse every provision for a field that need not be given."""
    return no_provision(422, fault(*loc).detail)


def second_provision(code: int) -> Rule:
    """Refuse a key that is known."""

    def provision(it: Twin, key: str) -> Row:
        if it.named(key) is not None:
            raise HTTPException(code, "No")
        return it.make(key)

    return provision
