"""The decoder against the standard: WHATWG HTML, "9.2 Server-sent events".

The named cases follow the lists of the web platform tests (`eventsource/format-*`) and of the
SSE contract tests (parsing, line feeds, BOM, comments); each is decoded whole, cut in two at
every byte, and byte by byte. Random streams are compared with a reference decoder written from
the standard's prose, and with httpx-sse where that one is right.
"""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import chain

import pytest
from httpx_sse._decoders import SSEDecoder, SSELineDecoder
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_hydrasmoke._sse import ChatEvent, SseDecoder, SseLimitError

Row = tuple[str, str, str, "int | None"]
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


# --- named cases -----------------------------------------------------------------------------

LONG = b"x" * 2048

FORMAT = {
    "bom": (
        BOM + b"data:1\n\n" + BOM + b"data:2\n\ndata:3\n\n",
        [message("1"), message("3")],
    ),
    "bom-2": (
        BOM + BOM + b"data:1\n\ndata:2\n\ndata:3\n\n",
        [message("2"), message("3")],
    ),
    "comments": (
        b"data:1\r:\0\n:\r\ndata:2\n:" + LONG + b"\rdata:3\n:data:fail\r:" + LONG + b"\ndata:4\n\n",
        [message("1\n2\n3\n4")],
    ),
    "data-before-final-empty-line": (
        b"retry:1000\ndata:test1\n\nid:test\ndata:test2",
        [message("test1", retry=1000)],
    ),
    "field-data": (
        b"data:\n\ndata\ndata\n\ndata:test\n\n",
        [message(""), message("\n"), message("test")],
    ),
    "field-event": (
        b"event:test\ndata:x\n\ndata:x\n\n",
        [message("x", event="test"), message("x")],
    ),
    "field-event-empty": (b"event: \ndata:data\n\n", [message("data")]),
    "field-id": (
        "id: …\nretry: 200\ndata: hello\n\n".encode(),
        [message("hello", last_id="…", retry=200)],
    ),
    "field-id-2": (
        "id: …\ndata: hello\n\ndata: …\n\ndata: …\n\n".encode(),
        [message("hello", last_id="…"), message("…", last_id="…"), message("…", last_id="…")],
    ),
    "field-id-3": (
        "id: …\ndata: hello\n\nid\ndata: …\n\ndata: …\n\n".encode(),
        [message("hello", last_id="…"), message("…"), message("…")],
    ),
    "field-id-null": (
        b"id: \0\0\ndata: hello\n\nid: 1\nid: 2\0\ndata: hello\n\n",
        [message("hello"), message("hello", last_id="1")],
    ),
    "field-parsing": (
        (
            b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\n"
            b"data:3\rdata:\r\n data:32\ndata:4\n\n"
        ),
        [message("\0\n 2\n1\n3\n\n4")],
    ),
    "field-retry": (b"retry:3000\ndata:x\n\n", [message("x", retry=3000)]),
    "field-retry-bogus": (b"retry:3000\nretry:1000x\ndata:x\n\n", [message("x", retry=3000)]),
    "field-retry-empty": (b"retry\ndata:test\n\n", [message("test")]),
    "field-unknown": (
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
        [message("test\n\ntest")],
    ),
    "leading-space": (b"data:\ttest\rdata: \ndata:test\n\n", [message("\ttest\n\ntest")]),
    "newlines": (b"data:test\r\ndata\ndata:test\r\n\r", [message("test\n\ntest")]),
    "null-character": (b"data:\0\n\n\n\n", [message("\0")]),
    "utf-8": ("data:ok…\n\n".encode(), [message("ok…")]),
}

PARSING = {
    "two one-line messages": (
        b"data: Hello\n\ndata: World\n\n",
        [message("Hello"), message("World")],
    ),
    "two-line message": (b"data: Hello\ndata:World\n\n", [message("Hello\nWorld")]),
    "empty data": (b"data:\n\n", [message("")]),
    "empty data with a space": (b"data: \n\n", [message("")]),
    "specific type": (b"event: greeting\ndata: Hello\n\n", [message("Hello", event="greeting")]),
    "id": (b"id: abc\ndata: Hello\n\n", [message("Hello", last_id="abc")]),
    "type and id": (
        b"event: greeting\nid: abc\ndata: Hello\n\n",
        [message("Hello", event="greeting", last_id="abc")],
    ),
    "id with a null": (b"id: a\0bc\ndata: Hello\n\n", [message("Hello")]),
    "id persists": (
        b"id: abc\ndata: first\n\ndata: second\n\n",
        [message("first", last_id="abc"), message("second", last_id="abc")],
    ),
    "id of a block without data persists": (
        b"id: abc\n\ndata: first\n\n",
        [message("first", last_id="abc")],
    ),
    "id overridden by an empty value": (
        b"id: abc\ndata: first\n\nid: \ndata: second\n\n",
        [message("first", last_id="abc"), message("second")],
    ),
    "reverse order": (
        b"data: Hello\nid: abc\nevent: greeting\n\n",
        [message("Hello", event="greeting", last_id="abc")],
    ),
    "unknown field": (
        b"event: greeting\ncolor: blue\ndata: Hello\n\n",
        [message("Hello", event="greeting")],
    ),
    "no leading space": (b"event:greeting\ndata:Hello\n\n", [message("Hello", event="greeting")]),
    "extra leading space": (
        b"event:  greeting\ndata:  Hello\n\n",
        [message(" Hello", event=" greeting")],
    ),
    "no colon": (b"data\n\ndata\ndata\n\n", [message(""), message("\n")]),
    "colon in the value": (b"data: a: b\n\ndata::\n\n", [message("a: b"), message(":")]),
    "data within data": (b"data: data: x\n\n", [message("data: x")]),
    "data within an event name": (
        b"event: data: x\ndata: y\n\n",
        [message("y", event="data: x")],
    ),
    "event without data": (b"event: lost\n\ndata: Hello\n\n", [message("Hello")]),
    "event twice": (b"event: a\nevent: b\ndata: c\n\n", [message("c", event="b")]),
    "event emptied": (b"event: a\nevent\ndata: b\n\n", [message("b")]),
    "names alternate": (
        b"event: a\ndata: 1\n\ndata: 2\n\nevent: b\ndata: 3\n\nevent: a\ndata: 4\n\n",
        [message("1", event="a"), message("2"), message("3", event="b"), message("4", event="a")],
    ),
    "letter case matters": (b"DATA: no\nEvent: no\ndata: yes\n\n", [message("yes")]),
    "space before the name": (b" data: no\ndata: yes\n\n", [message("yes")]),
    "space before the colon": (b"data : no\ndata: yes\n\n", [message("yes")]),
    "retry of its own block only": (
        b"retry: 5\ndata: a\n\ndata: b\n\nretry: 6\n\ndata: c\n\n",
        [message("a", retry=5), message("b"), message("c")],
    ),
    "retry, digits only": (
        b"retry: +5\nretry: 1_0\nretry: 5 \nretry:  5\nretry: -1\ndata: a\n\n",
        [message("a")],
    ),
    "retry, ASCII digits only": ("retry: ٣\nretry: ²\ndata: a\n\n".encode(), [message("a")]),
    "retry, leading zeros": (b"retry: 007\ndata: a\n\n", [message("a", retry=7)]),
    "retry, too long for a clock": (b"retry: " + b"9" * 5000 + b"\ndata: a\n\n", [message("a")]),
    "multi-byte characters": ("data: €豆腐😀\n\n".encode(), [message("€豆腐😀")]),
    "not line ends": (
        "data: a\u2028b\u2029c\u0085d\x0b\x0c\x1c\x1d\x1ee\n\n".encode(),
        [message("a\u2028b\u2029c\u0085d\x0b\x0c\x1c\x1d\x1ee")],
    ),
    "invalid bytes": (
        b"data: \xff\xc3(\xe2\x82\xf0\x9f\x98\xed\xa0\x80\xc0\xaf\n\n",
        [message("\ufffd\ufffd(\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd")],
    ),
    "sequence cut by a line end": (
        b"event: \xe2\x82\ndata: \xf0\x9f\ndata: \xe2\r\n\r\n",
        [message("\ufffd\n\ufffd", event="\ufffd")],
    ),
    "invalid bytes in a name": (b"data\xff: no\ndata: yes\n\n", [message("yes")]),
    "no blank line at the end": (b"data: a\n\ndata: b\n", [message("a")]),
    "no line end at the end": (b"data: a\n\ndata: b", [message("a")]),
    "nothing": (b"", []),
    "line ends only": (b"\n\r\n\r\r\n\n", []),
    "many messages": (
        b"".join(b"data: message %d\n\n" % i for i in range(50)),
        [message(f"message {i}") for i in range(50)],
    ),
}

BOMS = {
    "before type and id": (
        BOM + b"event: greeting\nid: abc\ndata: Hello\n\n",
        [message("Hello", event="greeting", last_id="abc")],
    ),
    "in later data": (
        b"data: First\n\ndata: " + BOM + b"Second\n\n",
        [message("First"), message("\ufeffSecond")],
    ),
    "first one only": (BOM + b"data: " + BOM + b"Hello\n\n", [message("\ufeffHello")]),
    "before a comment": (BOM + b":comment\ndata: Hello\n\n", [message("Hello")]),
    "before empty data": (BOM + b"data:\n\n", [message("")]),
    "before a line end": (BOM + b"\r\ndata: a\n\n", [message("a")]),
    "alone": (BOM, []),
    "not quite": (b"\xef\xbbdata: no\ndata: yes\n\n", [message("yes")]),
    "not at the start": (b"\n" + BOM + b"data: no\ndata: yes\n\n", [message("yes")]),
}

COMMENTS = {
    "alone": (b":Hello\n", []),
    "two": (b":Hello\n:World\n", []),
    "keep-alive blocks": (b": a\n\n: b\n\ndata: c\n\n: d\n\n", [message("c")]),
    "keep-alive after an id": (
        b"id: 1\ndata: a\n\n:\n\n:\n\ndata: b\n\n",
        [message("a", last_id="1"), message("b", last_id="1")],
    ),
    "inside an event": (b"data: a\n: b\ndata: c\n\n", [message("a\nc")]),
    "looks like data": (b":data: a\n\n", []),
    "before an event": (b":x\ndata: a\n\n", [message("a")]),
}


def line_feeds(end: bytes) -> bytes:
    """Give the stream of `FED`; % stands for a line's end and a blank line, & for a line's end."""
    text = (
        b"data: event 1%data: event 2 line 1&data: event 2 line 2%data:&data: line2&data: line3%"
        b"data: line1&data:&data: line3%&data: after one more%&&data: after two more%"
        b"event: x&data: named%id: 7&data: last%"
    )
    return text.replace(b"%", end + end).replace(b"&", end)


FED = [
    message("event 1"),
    message("event 2 line 1\nevent 2 line 2"),
    message("\nline2\nline3"),
    message("line1\n\nline3"),
    message("after one more"),
    message("after two more"),
    message("named", event="x"),
    message("last", last_id="7"),
]

LINE_FEEDS = {
    "LF": (line_feeds(b"\n"), FED),
    "CR": (line_feeds(b"\r"), FED),
    "CRLF": (line_feeds(b"\r\n"), FED),
    "LF then CR": (b"data: a\n\rdata: b\n\r", [message("a"), message("b")]),
    "CR CRLF": (b"data: a\r\r\ndata: b\r\r\n", [message("a"), message("b")]),
    "CRLF LF": (b"data: a\r\n\ndata: b\r\n\n", [message("a"), message("b")]),
    "CRLF CR": (b"data: a\r\n\rdata: b\r\n\r", [message("a"), message("b")]),
    "CR LF LF": (b"data: a\r\n\n\ndata: b\n\n", [message("a"), message("b")]),
    "mixed": (
        b"data: a\rdata: b\ndata: c\r\n\r\ndata: d\n\r\ndata: e\r\r",
        [message("a\nb\nc"), message("d"), message("e")],
    ),
}

CASES = [
    pytest.param(stream, expected, id=f"{group}: {name}")
    for group, table in {
        "format": FORMAT,
        "parsing": PARSING,
        "bom": BOMS,
        "comments": COMMENTS,
        "line feeds": LINE_FEEDS,
    }.items()
    for name, (stream, expected) in table.items()
]


@pytest.mark.parametrize(("stream", "expected"), CASES)
class TestNamedCases:
    def test_whole(self, stream: bytes, expected: list[Row]) -> None:
        assert rows([stream]) == expected

    def test_every_cut_in_two(self, stream: bytes, expected: list[Row]) -> None:
        for i in range(len(stream) + 1):
            assert rows([stream[:i], stream[i:]]) == expected, f"cut at {i}"

    def test_byte_by_byte(self, stream: bytes, expected: list[Row]) -> None:
        assert rows(in_bytes(stream)) == expected

    def test_empty_chunks_between(self, stream: bytes, expected: list[Row]) -> None:
        assert rows([x for byte in in_bytes(stream) for x in (b"", byte)]) == expected

    def test_the_reference_agrees(self, stream: bytes, expected: list[Row]) -> None:
        assert reference(stream) == expected


def test_a_cr_at_the_end_of_a_chunk_ends_the_line_at_once() -> None:
    decoder = SseDecoder()
    assert [row(e) for e in decoder.feed(b"data: a\r\r")] == [message("a")]
    assert decoder.feed(b"\n") == []
    assert [row(e) for e in decoder.feed(b"data: b\n\r")] == [message("b")]
    assert decoder.feed(b"\n\ndata: c") == []
    assert [row(e) for e in decoder.feed(b"\r\n\r")] == [message("c")]


# --- against other decoders --------------------------------------------------------------------


def utf_8_decode(stream: bytes) -> str:
    """Decode as WHATWG Encoding, "8.1.1 UTF-8 decoder" says, BOM and all."""
    out: list[str] = []
    point = needed = 0
    lower, upper = 0x80, 0xBF
    queue = list(stream.removeprefix(BOM))[::-1]
    while queue:
        byte = queue.pop()
        if needed:
            if not lower <= byte <= upper:
                out.append("\ufffd")
                point = needed = 0
                lower, upper = 0x80, 0xBF
                queue.append(byte)
                continue
            lower, upper = 0x80, 0xBF
            point = point << 6 | byte & 0x3F
            needed -= 1
            if not needed:
                out.append(chr(point))
        elif byte <= 0x7F:
            out.append(chr(byte))
        elif 0xC2 <= byte <= 0xDF:
            needed, point = 1, byte & 0x1F
        elif 0xE0 <= byte <= 0xEF:
            lower = 0xA0 if byte == 0xE0 else lower
            upper = 0x9F if byte == 0xED else upper
            needed, point = 2, byte & 0xF
        elif 0xF0 <= byte <= 0xF4:
            lower = 0x90 if byte == 0xF0 else lower
            upper = 0x8F if byte == 0xF4 else upper
            needed, point = 3, byte & 0x7
        else:
            out.append("\ufffd")
    if needed:
        out.append("\ufffd")
    return "".join(out)


def reference_lines(text: str) -> Iterator[str]:
    """Cut at `end-of-line = ( cr lf / cr / lf )`; what no line end follows is no line."""
    start = i = 0
    while i < len(text):
        if text[i] in "\r\n":
            yield text[start:i]
            i += 2 if text[i : i + 2] == "\r\n" else 1
            start = i
        else:
            i += 1


def reference(stream: bytes) -> list[Row]:
    """Decode a whole stream as "9.2.6 Interpreting an event stream" says, word by word."""
    out: list[Row] = []
    data = event_type = last_id = ""
    retry: int | None = None
    for line in reference_lines(utf_8_decode(stream)):
        if line == "":
            if data != "":
                out.append((event_type or "message", data[:-1], last_id, retry))
            data = event_type = ""
            retry = None
            continue
        if line[0] == ":":
            continue
        field, value = line, ""
        if ":" in line:
            colon = line.index(":")
            field, value = line[:colon], line[colon + 1 :]
            if value and value[0] == "\u0020":
                value = value[1:]
        if field == "event":
            event_type = value
        elif field == "data":
            data += value + "\n"
        elif field == "id":
            if "\u0000" not in value:
                last_id = value
        elif field == "retry" and value and all(c in "0123456789" for c in value):
            retry = int(value) if len(value) <= 640 else retry
    return out


PIECES = [
    *[b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n"] * 3,
    *[b"data", b"data:", b"data: ", b"event: ", b"event:", b"id: ", b"id", b"retry: "] * 2,
    *[b"data: x\n\n", b"event: y\ndata: x\n\n", b"data: x\r\n\r\n", b"event: z\r\ndata: x\r\n\r\n"],
    *[b":", b" ", b"  ", b"\0", b"x", b"yz", b"7", b"42", b": keep-alive\n\n", b"foo: bar\n"],
    *[BOM, b"\xef", b"\xbb", b"\xbf", "é€😀".encode(), b"\xe2\x82", b"\x82", b"\xf0\x9f", b"\xff"],
    *["\u2028\u0085".encode(), b"\x0b\x0c\x1e", b"Data: x", b'{"a": "b"}'],
]

streams = st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=40).map(b"".join)


@settings(max_examples=1000, deadline=None, database=None)
@given(stream=streams, source=st.randoms(use_true_random=False))
@example(stream=b"data: a\n\n\n", source=random.Random(0))
@example(stream=b"event: a\r\n\r\r\ndata: \r\n\n", source=random.Random(0))
def test_it_equals_the_reference(stream: bytes, source: random.Random) -> None:
    expected = reference(stream)
    assert rows([stream]) == expected
    assert rows(cut(stream, source)) == expected
    assert rows(in_bytes(stream)) == expected


def test_it_equals_the_reference_on_20_000_random_streams() -> None:
    seed = random.randrange(1 << 32)
    source = random.Random(seed)
    for i in range(20_000):
        stream = b"".join(source.choices(PIECES, k=source.randrange(30)))
        assert rows(cut(stream, source)) == reference(stream), (
            f"seed {seed}, stream {i}: {stream!r}"
        )


def httpx_sse(chunks: list[str]) -> list[Row]:
    lines, decoder = SSELineDecoder(), SSEDecoder()
    decoded = [decoder.decode(line) for chunk in chunks if chunk for line in lines.decode(chunk)]
    return [(e.event, e.data, e.id, e.retry) for e in decoded if e is not None]


fields = st.tuples(
    st.sampled_from(["event: ", "event:", "foo: ", ": ", "data: ", "data:", "data", "retry: 1"]),
    st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=8),
).map(lambda pair: pair[0] if pair[0].startswith("retry") else "".join(pair))
blocks = st.lists(fields, max_size=5).map(lambda lines: [*lines, "data: last", ""])


@settings(max_examples=300, deadline=None, database=None)
@given(
    lines=st.lists(blocks, max_size=6).map(lambda several: [*chain.from_iterable(several)]),
    end=st.sampled_from(["\n", "\r\n"]),
    size=st.integers(1, 40),
)
def test_it_equals_httpx_sse_where_that_is_right(lines: list[str], end: str, size: int) -> None:
    """Left out is what httpx-sse 0.4.3 gets wrong.

    It loses the first event after a BOM; it makes up empty events for blocks without data (an id,
    a type or a retry alone, every keep-alive after an id); it takes `1_0` for a retry; and it
    holds a CR back until the next chunk, so that the last event of a CR stream comes too late.
    """
    text = "".join(line + end for line in lines)
    chunks = [text[i : i + size] for i in range(0, len(text), size)]
    assert rows([chunk.encode() for chunk in chunks]) == httpx_sse(chunks)


# --- what it tells beside events ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "pending"),
    [
        (b"", False),
        (BOM, False),
        (BOM[:2], False),
        (b"data: a\n\n", False),
        (b"data: a\r\r", False),
        (b"data: a\r\n\r", False),
        (b"d", True),
        (BOM + b"d", True),
        (b"data: a\n\ndata: b", True),
        (b"data: a\n\ndata: b\n", True),
        (b"event: a\n", True),
        (b"id: a\n", True),
        (b": keep-al", False),
        (b"data: a\n\n: keep-alive\n", False),
        (b"data: a\n: keep-al", True),
    ],
)
def test_pending_tells_a_stream_cut_within_an_event(stream: bytes, pending: bool) -> None:
    for chunks in ([stream], in_bytes(stream)):
        decoder = SseDecoder()
        for chunk in chunks:
            decoder.feed(chunk)
        assert decoder.pending is pending


def test_totals_count_all_bytes_and_events() -> None:
    decoder = SseDecoder()
    assert (decoder.total_bytes, decoder.total_events) == (0, 0)
    decoder.feed(BOM + b": x\r\ndata: a\n\ndata: b\n\ndata")
    decoder.feed(b"\n\n\n")
    assert (decoder.total_bytes, decoder.total_events) == (3 + 5 + 18 + 4 + 3, 3)


def test_an_event_has_the_time_of_the_chunk_that_completed_it() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\n", 1.0) == []
    assert [e.at for e in decoder.feed(b"\ndata: b\n\nid: 1\ndata: c\n\nda", 2.5)] == [2.5] * 3
    assert [e.at for e in decoder.feed(b"ta\n\n", 4.0)] == [4.0]


def test_json_parses_the_data() -> None:
    assert ChatEvent("message", '{"a": [1, null]}', "", None, 0.0).json() == {"a": [1, None]}


@pytest.mark.parametrize(
    ("data", "quoted"),
    [
        ("", "''"),
        ("hello", "'hello'"),
        ("\x1b[31m::error::\n", r"'\x1b[31m::error::\n'"),
        ("x" * 80, repr("x" * 80)),
        ("y" * 1000, repr("y" * 80) + "..."),
    ],
)
def test_json_quotes_what_is_none(data: str, quoted: str) -> None:
    with pytest.raises(ValueError) as caught:
        ChatEvent("token", data, "", None, 0.0).json()
    assert str(caught.value).startswith("the data of the 'token' event is not JSON, ")
    assert str(caught.value).endswith(f": {quoted}")


@pytest.mark.parametrize("data", ["[" * 100_000, "9" * 5000], ids=["nesting", "digits"])
def test_json_that_python_refuses_is_a_value_error_too(data: str) -> None:
    with pytest.raises(ValueError) as caught:
        ChatEvent("message", data, "", None, 0.0).json()
    assert len(str(caught.value)) < 400


# --- limits --------------------------------------------------------------------------------------


def outcome(
    chunks: Iterable[bytes],
    *,
    max_event: int = 1 << 20,
    max_total: int = 1 << 24,
    max_events: int = 100_000,
) -> tuple[list[str], str | None]:
    decoder = SseDecoder(max_event=max_event, max_total=max_total, max_events=max_events)
    out: list[str] = []
    for chunk in chunks:
        try:
            out += [event.data for event in decoder.feed(chunk)]
        except SseLimitError as error:
            out += [event.data for event in error.events]
            assert decoder.total_events == len(out)
            assert not decoder.pending
            return out, error.limit
    assert decoder.total_events == len(out)
    return out, None


@pytest.mark.parametrize(
    ("stream", "limits", "expected"),
    [
        pytest.param(
            b"data: a\n\ndata: " + b"b" * 100, {"max_event": 99}, (["a"], "max_event"), id="a line"
        ),
        pytest.param(
            b"data: a\n\n" + b"data: bbbbbbbb\n" * 9 + b"\n",
            {"max_event": 99},
            (["a"], "max_event"),
            id="several lines",
        ),
        pytest.param(b"data: aaa\n\n", {"max_event": 10}, (["aaa"], None), id="exactly one event"),
        pytest.param(b"data: aaa\n\n", {"max_event": 9}, ([], "max_event"), id="one byte more"),
        pytest.param(
            b"data: aa\r\n\r\ndata: bb\r\n\r\n", {"max_event": 9}, (["aa", "bb"], None), id="CRLF"
        ),
        pytest.param(
            BOM + b"data: aaa\n\n", {"max_event": 10}, (["aaa"], None), id="a BOM does not count"
        ),
        pytest.param(
            "data: €€€\n\n".encode(), {"max_event": 15}, ([], "max_event"), id="bytes, not letters"
        ),
        pytest.param(
            b": keep-alive\n" * 50 + b"data: a\n\n",
            {"max_event": 20},
            (["a"], None),
            id="finished comments do not count",
        ),
        pytest.param(
            b"data: a\n\n:" + b"x" * 100, {"max_event": 50}, (["a"], "max_event"), id="a comment"
        ),
        pytest.param(
            b": keep-alive\n\n" * 50, {"max_total": 500}, ([], "max_total"), id="many comments"
        ),
        pytest.param(
            b"data: a\n\n" * 3, {"max_total": 27}, (["a", "a", "a"], None), id="exactly the total"
        ),
        pytest.param(
            b"data: a\n\n" * 3, {"max_total": 26}, (["a", "a"], "max_total"), id="one less"
        ),
        pytest.param(
            b"data: a\n\n" * 3, {"max_events": 3}, (["a", "a", "a"], None), id="exactly the events"
        ),
        pytest.param(
            b"data: a\n\n" * 3, {"max_events": 2}, (["a", "a"], "max_events"), id="one event more"
        ),
        pytest.param(
            b"data: a\n\nid: 1\n\n: x\n\nevent: y\n\n",
            {"max_events": 1},
            (["a"], None),
            id="blocks without data are no events",
        ),
        pytest.param(b"", {"max_total": 0}, ([], None), id="nothing"),
    ],
)
def test_limits_hold_however_the_stream_is_cut(
    stream: bytes, limits: dict[str, int], expected: tuple[list[str], str | None]
) -> None:
    assert outcome([stream], **limits) == expected
    assert outcome(in_bytes(stream), **limits) == expected
    for i in range(len(stream)):
        assert outcome([stream[:i], stream[i:]], **limits) == expected, f"cut at {i}"


@settings(max_examples=500, deadline=None, database=None)
@given(
    stream=streams,
    source=st.randoms(use_true_random=False),
    max_event=st.integers(1, 60),
    max_total=st.integers(1, 200),
    max_events=st.integers(0, 6),
)
def test_limits_do_not_depend_on_chunks(
    stream: bytes, source: random.Random, max_event: int, max_total: int, max_events: int
) -> None:
    limits = {"max_event": max_event, "max_total": max_total, "max_events": max_events}
    whole = outcome([stream], **limits)
    assert outcome(in_bytes(stream), **limits) == whole
    assert outcome(cut(stream, source), **limits) == whole
    expected = [data for _, data, _, _ in reference(stream)]
    assert whole[0] == (expected if whole[1] is None else expected[: len(whole[0])])


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"max_event": 20}, "the event stream has more than 20 bytes in one event (max_event)"),
        ({"max_total": 20}, "the event stream has more than 20 bytes (max_total)"),
        ({"max_events": 1}, "the event stream has more than 1 events (max_events)"),
    ],
)
def test_a_limit_is_named_and_nothing_comes_after_it(limits: dict[str, int], text: str) -> None:
    decoder = SseDecoder(**limits)
    with pytest.raises(SseLimitError) as caught:
        decoder.feed(b"data: a\n\n" + b"data: bbbbbbbbbbbbbbbbbb\n\n")
    assert str(caught.value) == text
    assert {caught.value.limit: caught.value.value} == limits
    assert [event.data for event in caught.value.events] == ["a"]
    with pytest.raises(SseLimitError) as again:
        decoder.feed(b"data: c\n\n")
    assert str(again.value) == text
    assert again.value.events == []


@pytest.mark.parametrize("piece", [b"x" * 4096, b"data: " + b"x" * 100 + b"\n", b"data\n" * 800])
def test_a_flood_is_stopped_near_the_limit(piece: bytes) -> None:
    decoder = SseDecoder(max_event=1 << 16)
    with pytest.raises(SseLimitError):
        all(decoder.feed(piece) == [] for _ in range(1 << 16))
    assert decoder.total_bytes <= (1 << 16) + len(piece)


# --- size ----------------------------------------------------------------------------------------


def in_pieces(stream: bytes, size: int) -> Iterator[bytes]:
    return (stream[i : i + size] for i in range(0, len(stream), size))


def lifted() -> SseDecoder:
    return SseDecoder(max_event=1 << 30, max_total=1 << 30, max_events=1 << 30)


def test_a_long_line_in_small_chunks() -> None:
    """Bytes that grew by each chunk would be copied 500 GB here."""
    decoder = lifted()
    stream = b"data: " + b"x" * 8_000_000 + b"\n\n"
    events = [event for chunk in in_pieces(stream, 64) for event in decoder.feed(chunk)]
    assert [len(event.data) for event in events] == [8_000_000]


@pytest.mark.parametrize("size", [64, 4096, 1 << 30])
def test_an_event_of_many_lines(size: int) -> None:
    decoder = lifted()
    stream = b"data: line\r\n" * 80_000 + b"\r\n"
    events = [event for chunk in in_pieces(stream, size) for event in decoder.feed(chunk)]
    assert [event.data for event in events] == ["\n".join(["line"] * 80_000)]


def test_memory_stays_flat() -> None:
    decoder = SseDecoder(max_total=1 << 30, max_events=1 << 30)
    chunk = b'event: delta\ndata: {"content": "token"}\n\nid: 7\ndata: x\n\n: keep-alive\n' * 20
    tracemalloc.start()
    try:
        decoder.feed(chunk)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(500):
            decoder.feed(chunk)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000
    assert peak - before < 100_000
