"""Random streams for the decoder, and what httpx-sse makes of them."""

from __future__ import annotations

import codecs
import contextlib
import random
import re
from collections.abc import Iterable

from httpx_sse._decoders import SSEDecoder, SSELineDecoder
from sse_cases import GROUPS
from sse_tools import BOM, Row

PIECES = [
    *[b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n"] * 3,
    *[b"data", b"data:", b"data: ", b"event: ", b"event:", b"id: ", b"id", b"retry: "] * 2,
    *[b"data: x\n\n", b"event: y\ndata: x\n\n", b"data: x\r\n\r\n", b"event: z\r\ndata: x\r\n\r\n"],
    *[b":", b" ", b"  ", b"\0", b"x", b"yz", b"7", b"42", b": keep-alive\n\n", b"foo: bar\n"],
    *[BOM, b"\xef", b"\xbb", b"\xbf", "é€😀".encode(), b"\xe2\x82", b"\x82", b"\xf0\x9f", b"\xff"],
    *["\u2028\u0085".encode(), b"\x0b\x0c\x1e", b"Data: x", b'{"a": "b"}'],
]
KNOWN = [stream for table in GROUPS.values() for stream, _ in table.values() if len(stream) < 500]


def random_stream(source: random.Random) -> bytes:
    """Make a stream of pieces, or of known cases, as they are or damaged."""
    if source.random() < 0.6:
        return b"".join(source.choices(PIECES, k=source.randrange(30)))
    stream = bytearray(b"".join(source.choices(KNOWN, k=source.randrange(1, 4))))
    for _ in range(source.randrange(4)):
        at = source.randrange(len(stream) + 1)
        length = source.randrange(3)
        stream[at : at + length] = source.choice([b"", source.choice(PIECES), source.randbytes(1)])
    return bytes(stream)


def httpx_sse_differs(stream: bytes) -> str | None:
    """Return why httpx-sse 0.4.3 would read a stream wrong, if it is known to."""
    if stream.startswith(BOM):
        return "keeps a BOM, so that the first line has no name that it knows"
    for line in re.split(b"\r\n|\r|\n", stream):
        field, _, value = line.partition(b":")
        if field == b"retry" and not re.fullmatch(b"[0-9]{1,640}", value.removeprefix(b" ")):
            with contextlib.suppress(ValueError):
                int(value.decode("utf-8", "replace"))
                return "takes for a retry what int() takes: signs, spaces and underscores"
    return None


def httpx_sse(chunks: Iterable[bytes]) -> tuple[list[Row], int]:
    """Decode as its `EventSource` does; give the events, and how many more it made up.

    It makes an empty event of each block without data once there was an id, and of each that has
    a type or a retry. These, and these alone, are left out.
    """
    text = codecs.getincrementaldecoder("utf-8")("replace")
    cutter, decoder = SSELineDecoder(), SSEDecoder()
    decoded = [*(text.decode(chunk) for chunk in chunks), text.decode(b"", final=True)]
    lines = [line for part in decoded if part for line in cutter.decode(part)]
    events: list[Row] = []
    made_up, has_data = 0, False
    for line in (*lines, *cutter.flush()):
        event = decoder.decode(line)
        if event is not None and has_data:
            events.append((event.event, event.data, event.id, event.retry))
        made_up += event is not None and not has_data
        has_data = bool(line) and (has_data or line.partition(":")[0] == "data")
    return events, made_up
