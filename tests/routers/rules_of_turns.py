"""Rules of what an agent says."""

from __future__ import annotations

import time
from collections.abc import Iterator

from fastapi import HTTPException
from fastapi.responses import Response, StreamingResponse
from rules import Rule
from twin import Row, Twin


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
