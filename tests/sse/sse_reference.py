"""A second decoder, by another method: the whole text first, then its grammar.

`SseDecoder` goes through a stream line by line and keeps a state. Here the stream is decoded whole,
cut at the grammar's line ends, put together into blocks, and each block is read as a whole: its
type is that of its last `event`, and so on. No line of it is shared with the package. It is slow,
takes no chunks, and has no limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sse_tools import BOM, Row

# end-of-line = ( cr lf / cr / lf ); field = 1*name-char [ colon [ space ] *any-char ]; a comment
# has no name-char before its colon.
END_OF_LINE = re.compile("\r\n|\r|\n")
FIELD = re.compile("([^:]+)(?:: ?(.*))?", re.DOTALL)
DIGITS = re.compile("[0-9]{1,640}")  # 640: the most that any Python makes a number of


def blocks(text: str) -> Iterator[list[str]]:
    """Yield the lines of each block that a blank line ended."""
    block: list[str] = []
    for line in END_OF_LINE.split(text)[:-1]:  # what no line end follows is no line
        if line:
            block.append(line)
        else:
            yield block
            block = []


def reference(stream: bytes) -> list[Row]:
    """Return the events of a whole stream."""
    out: list[Row] = []
    last_id = ""
    for block in blocks(stream.removeprefix(BOM).decode("utf-8", "replace")):
        fields = [(match[1], match[2] or "") for line in block if (match := FIELD.fullmatch(line))]

        def values(name: str, fields: list[tuple[str, str]] = fields) -> list[str]:
            return [value for field, value in fields if field == name]

        last_id = [last_id, *(value for value in values("id") if "\0" not in value)][-1]
        retries = [int(value) for value in values("retry") if DIGITS.fullmatch(value)]
        if data := values("data"):
            event_type = ["", *values("event")][-1] or "message"
            out.append((event_type, "\n".join(data), last_id, [None, *retries][-1]))
    return out
