"""What all tests of the decoder share: events as rows, and ways to cut a stream."""

from __future__ import annotations

import random
from collections.abc import Iterable

from pytest_hydrasmoke._sse.decoder import ChatEvent, SseDecoder

Row = tuple[str, str, str, "int | None"]
"""Type, data, last event id, and the retry of the event's own block."""
BOM = b"\xef\xbb\xbf"


def message(
    data: str, *, event: str = "message", last_id: str = "", retry: int | None = None
) -> Row:
    return event, data, last_id, retry


def row(event: ChatEvent) -> Row:
    return event.event, event.data, event.id, event.retry


def rows(chunks: Iterable[bytes]) -> list[Row]:
    decoder = SseDecoder()
    return [row(event) for chunk in chunks for event in decoder.feed(chunk)]


def in_bytes(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


def cut(stream: bytes, source: random.Random) -> list[bytes]:
    points = sorted(source.randrange(len(stream) + 1) for _ in range(source.randrange(6)))
    return [stream[a:b] for a, b in zip([0, *points], [*points, len(stream)], strict=True)]
