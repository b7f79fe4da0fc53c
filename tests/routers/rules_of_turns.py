"""Rules of what an agent says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from fastapi import HTTPException
from fastapi.responses import Response, StreamingResponse
from rules import Rule
from twin import Row, Twin


def streams(
    *texts: str, then: Callable[[Twin, Row], object], media: str = "text/event-stream"
) -> Rule:
    """Answer a chat with this stream, and do something at its end."""

    def stream(it: Twin, row: Row, message: str) -> Response:
        def turn() -> Iterator[str]:
            yield from texts
            then(it, row)

        return StreamingResponse(turn(), media_type=media)

    return stream


def frames(*texts: str, media: str = "text/event-stream") -> Rule:
    """Answer a chat with this stream."""
    return streams(*texts, then=lambda it, row: it.spent(row), media=media)


def cut_after(*texts: str) -> Rule:
    """Break the connection after these frames."""

    def cut(it: Twin, row: Row) -> None:
        raise ConnectionAbortedError("the agent is gone")

    return streams(*texts, then=cut)


def silent_after(*texts: str) -> Rule:
    """Say nothing more after these frames, for longer than anybody waits."""
    return streams(*texts, then=lambda it, row: time.sleep(4))


def instead_of_a_stream(response: Response) -> Rule:
    return lambda it, row, message: response


def never_ready(code: int, *, but: Callable[[Row], bool] = lambda row: False) -> Rule:
    """Refuse every chat for the moment, although the status is ready."""

    def stream(it: Twin, row: Row, message: str) -> Response:
        if not but(row):
            raise HTTPException(code, "The agent is not ready")
        return Twin.stream(it, row, message)

    return stream


def not_at_once(code: int) -> Rule:
    """Refuse an instance's first chat: its status was ready a moment before its agent."""
    asked: set[str] = set()

    def before(row: Row) -> bool:
        known = row.id in asked
        asked.add(row.id)
        return known

    return never_ready(code, but=before)
