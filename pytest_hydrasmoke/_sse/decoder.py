"""Bytes of an event stream in, events out: WHATWG HTML, "9.2 Server-sent events".

The rules of this module:

- An event depends on the stream's bytes alone, never on how they were cut into chunks.
- A line end is acted on when it is seen: nothing is held back to wait for a LF after a CR.
- Bytes are joined once an event or a line, never grown, so that time is linear in the stream.
- Nothing is kept beyond the unfinished event, and that only up to a limit.

Lines are cut as bytes and decoded after that. It is exact: LF and CR never occur inside a
multi-byte sequence, and one that a line end cuts short is U+FFFD in a stream decoded whole, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from pytest_hydrasmoke._base.public import public

_BOM = b"\xef\xbb\xbf"
_CR = ord("\r")
_COLON = ord(":")
_SHORTEST_EVENT = len(b"data\n\n")
_QUOTED = 80  # characters of the stream that a message may quote
_Limit = Literal["max_event", "max_total", "max_events"]
# ASCII digits only, and no more than int() takes whatever `sys.set_int_max_str_digits` says.
_RETRY = re.compile("[0-9]{1,640}")
# What precedes the data in nearly every block, with the type that it names.
_HEAD, _DATA = re.compile("(?:event: (.*)\n)?"), "data: "


@public
@dataclass(slots=True)  # not frozen: that would make each construction three times as slow
class ChatEvent:
    """Hold one server-sent event, as the stream gave it."""

    event: str
    """The type of the event; "message" if the stream names none."""
    data: str
    """The data lines, joined by LF."""
    id: str = ""
    """The last event id up to this event; "" if there was none."""
    retry: int | None = None
    """The retry field of this event, in milliseconds; None if it has none."""
    at: float = 0.0
    """Seconds from the request to the chunk that completed the event."""
    _reads: str | Callable[..., str] = field(default="", init=False, repr=False, compare=False)
    # The text, or a function that finds it on demand: the stream itself does not define it.

    @property
    def text(self) -> str:
        """What the event adds to the reply; "" if it is not part of a chat turn."""
        reads = self._reads
        return reads if isinstance(reads, str) else reads(self)

    def json(self) -> object:
        """Parse the data as JSON; raises `ValueError`, which quotes it, if it is not JSON."""
        try:
            value: object = json.loads(self.data)
        except (ValueError, RecursionError) as error:
            shown = repr(self.data[:_QUOTED]) + ("..." if len(self.data) > _QUOTED else "")
            raise ValueError(
                f"the data of the {self.event[:_QUOTED]!r} event is not JSON, {error}: {shown}"
            ) from None
        return value


class SseLimitError(Exception):
    """Raised when a stream exceeds a limit; the decoder accepts nothing after that."""

    def __init__(self, limit: _Limit, value: int) -> None:
        what = {"max_event": "bytes in one event", "max_total": "bytes", "max_events": "events"}
        super().__init__(f"the event stream has more than {value} {what[limit]} ({limit})")
        self.limit: _Limit = limit
        """The limit's name."""
        self.value = value
        """The limit itself."""
        self.events: list[ChatEvent] = []
        """The events that the chunk completed before it broke the limit."""


class SseDecoder:
    """Decode an event stream, chunk by chunk.

    The end of a stream needs no call: an event without its blank line is never returned.
    `max_event` limits the bytes of an event's lines, finished or not; a line end counts as one,
    a comment only until it is finished. `max_total` limits all bytes, comments and line ends
    included, and `max_events` the events of the whole stream.
    """

    def __init__(
        self,
        *,
        max_event: int = 1 << 20,
        max_total: int = 16 << 20,
        max_events: int = 100_000,
    ) -> None:
        self._max_event = max_event
        self._max_total = max_total
        self._max_events = max_events
        self._broken: tuple[_Limit, int] | None = None
        self.total_bytes = 0
        """The bytes taken so far."""
        self.total_events = 0
        """The events returned so far."""
        # Context for the next chunk: a CR, or at the stream's start a possible BOM.
        self._before: bytes | None = b""
        self._line: list[bytes] = []  # parts of the unfinished line
        self._line_size = 0
        self._size = 0  # of the unfinished event's finished lines
        # What preceded the data line of the last block of a common shape, and the type it named.
        self._seen = "", "message"
        self._event = "message"
        self._data: list[str] = []
        self._retry: int | None = None
        self._id = ""

    @property
    def pending(self) -> bool:
        """Return whether the stream, if it ended now, would be cut in the middle of an event.

        A comment, finished or not, is no part of an event.
        """
        return self._size > 0 or (self._line_size > 0 and self._line[0][0] != _COLON)

    @property
    def unended(self) -> str:
        """Return the data of the event in which the stream, if it ended now, would be cut."""
        name, _, value = b"".join(self._line).decode(errors="replace").partition(":")
        last = [value.removeprefix(" ")] if name == "data" else []
        return "\n".join([*self._data, *last])

    def feed(self, chunk: bytes, at: float = 0.0) -> list[ChatEvent]:
        """Take the next bytes, received `at` seconds after the request; return completed events.

        Raises `SseLimitError`, which carries the events completed before the limit, and raises
        it again, without events, for whatever comes after it.
        """
        if self._broken is not None:
            raise SseLimitError(*self._broken)
        events: list[ChatEvent] = []
        self.total_bytes += len(chunk)
        over = self.total_bytes - self._max_total
        if over > 0:
            chunk = chunk[:-over]
        if self._before is not None:
            chunk = self._continued(self._before, chunk)
        if _CR in chunk:
            if chunk[-1] == _CR:
                self._before = b"\r"
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = chunk.rfind(b"\n") + 1
        try:
            if end:
                self._take_lines(chunk[:end], at, events)
                chunk = chunk[end:]
            if chunk:
                self._line.append(chunk)
                self._line_size += len(chunk)
                if self._size + self._line_size > self._max_event:
                    raise SseLimitError("max_event", self._max_event)
            if over > 0:
                raise SseLimitError("max_total", self._max_total)
        except SseLimitError as error:
            error.events = events
            self.total_events += len(events)
            self._broken = error.limit, error.value
            self._line, self._line_size, self._data, self._size = [], 0, [], 0
            raise
        self.total_events += len(events)
        return events

    def _continued(self, before: bytes, chunk: bytes) -> bytes:
        """Drop the LF of a CR LF whose CR came before, or the stream's BOM."""
        if before == b"\r":
            if chunk:
                self._before = None
            return chunk.removeprefix(b"\n")
        chunk = before + chunk
        if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
            self._before = chunk
            return b""
        self._before = None
        return chunk.removeprefix(_BOM)

    def _take_lines(self, lines: bytes, at: float, events: list[ChatEvent]) -> None:
        """Take finished lines: together where no limit is near, else one by one."""
        if self._line:
            lines = b"".join((*self._line, lines))
            self._line, self._line_size = [], 0
        size = len(lines)
        if (
            self._size + size <= self._max_event
            and size < (self._max_events - self.total_events) * _SHORTEST_EVENT
        ):
            if lines[-2:] == b"\n\n":
                self._take_blocks(lines, at, events)
                return
            end = lines.rfind(b"\n\n") + 2
            if end > 1:
                self._take_blocks(lines[:end], at, events)
                lines = lines[end:]
            if lines[0] not in b"\n:" and b"\n:" not in lines:
                # The beginning of an event, or more of it, without comments, which do not count.
                self._size += len(lines)
                self._interpret(lines[:-1].decode(errors="replace").split("\n"), at, events)
                return
        for line in lines.split(b"\n")[:-1]:
            if line:
                size = self._size + len(line) + 1
                if size > self._max_event:
                    raise SseLimitError("max_event", self._max_event)
                if line[0] != _COLON:
                    self._size = size
            else:
                if self._data and self.total_events + len(events) >= self._max_events:
                    raise SseLimitError("max_events", self._max_events)
                self._size = 0
            self._interpret((line.decode(errors="replace"),), at, events)

    def _take_blocks(self, lines: bytes, at: float, events: list[ChatEvent]) -> None:
        """Take lines of which the last is a blank one.

        Nearly every block of a chat has one of two shapes: a data line, or an event line and a
        data line. They are read here; `_interpret` would give the same result, more slowly.
        """
        blocks = lines.decode(errors="replace").split("\n\n")
        blocks.pop()  # what comes after the last blank line: nothing, or one more blank line
        if self._size:  # the first one goes on with an event begun in an earlier chunk
            self._interpret(f"{blocks.pop(0)}\n".split("\n"), at, events)
            self._size = 0
        seen, event = self._seen
        for block in blocks:
            head, _, data = block.partition(_DATA)
            if head != seen and (named := _HEAD.fullmatch(head)):
                seen, event = head, named[1] or "message"
            if head == seen and data and "\n" not in data:
                events.append(ChatEvent(event, data, self._id, None, at))
            else:
                self._interpret(f"{block}\n".split("\n"), at, events)
        self._seen = seen, event

    def _interpret(self, lines: Iterable[str], at: float, events: list[ChatEvent]) -> None:
        """Act on lines as the standard's "9.2.6 Interpreting an event stream" says."""
        for line in lines:
            name, _, value = line.partition(":")
            if value[:1] == " ":
                value = value[1:]
            if name == "data":
                self._data.append(value)
            elif not line:
                if self._data:
                    data = "\n".join(self._data)
                    events.append(ChatEvent(self._event, data, self._id, self._retry, at))
                    self._data = []
                self._event = "message"
                self._retry = None
            elif name == "id":
                if "\0" not in value:
                    self._id = value
            elif name == "event":
                self._event = value or "message"
            elif name == "retry" and _RETRY.fullmatch(value):
                self._retry = int(value)
