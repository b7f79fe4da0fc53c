"""Streams and their events, by the rules of WHATWG HTML, "9.2 Server-sent events".

The groups follow the web platform tests (`eventsource/format-*`), the standard's own examples,
and the SSE contract tests (parsing, BOM, comments, line feeds). An event that is its data alone is
given as that.
"""

from __future__ import annotations

from sse_tools import BOM, Row, message

Case = tuple[bytes, list[Row]]


def case(stream: bytes | str, *events: str | Row) -> Case:
    told = [message(it) if isinstance(it, str) else it for it in events]
    return stream.encode() if isinstance(stream, str) else stream, told


LONG = b"x" * 2048
HELLO = message("Hello", event="greeting", last_id="abc")

FORMAT = [
    case(BOM + b"data:1\n\n" + BOM + b"data:2\n\ndata:3\n\n", "1", "3"),
    case(BOM + BOM + b"data:1\n\ndata:2\n\ndata:3\n\n", "2", "3"),
    case(
        b"data:1\r:\0\n:\r\ndata:2\n:" + LONG + b"\rdata:3\n:data:fail\r:" + LONG + b"\ndata:4\n\n",
        "1\n2\n3\n4",
    ),
    case("retry:1000\ndata:test1\n\nid:test\ndata:test2", message("test1", retry=1000)),
    case("data:\n\ndata\ndata\n\ndata:test\n\n", "", "\n", "test"),
    case("event:test\ndata:x\n\ndata:x\n\n", message("x", event="test"), "x"),
    case("event: \ndata:data\n\n", "data"),
    case("id: …\nretry: 200\ndata: hello\n\n", message("hello", last_id="…", retry=200)),
    case(
        "id: …\ndata: hello\n\ndata: …\n\ndata: …\n\n",
        *(message(data, last_id="…") for data in ("hello", "…", "…")),
    ),
    case("id: …\ndata: hello\n\nid\ndata: …\n\ndata: …\n\n", message("hello", last_id="…"), *"……"),
    case(
        "id: \0\0\ndata: hello\n\nid: 1\nid: 2\0\ndata: hello\n\n",
        *("hello", message("hello", last_id="1")),
    ),
    case(
        "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\n"
        "data:3\rdata:\r\n data:32\ndata:4\n\n",
        "\0\n 2\n1\n3\n\n4",
    ),
    case("retry:3000\ndata:x\n\n", message("x", retry=3000)),
    case("retry:3000\nretry:1000x\ndata:x\n\n", message("x", retry=3000)),
    case("retry\ndata:test\n\n", "test"),
    case(
        "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
        "test\n\ntest",
    ),
    case("data:\ttest\rdata: \ndata:test\n\n", "\ttest\n\ntest"),
    case("data:test\r\ndata\ndata:test\r\n\r", "test\n\ntest"),
    case("data:\0\n\n\n\n", "\0"),
    case("data:ok…\n\n", "ok…"),
]
STANDARD = [
    case("data: YHOO\ndata: +2\ndata: 10\n\n", "YHOO\n+2\n10"),
    case(
        ": test stream\n\ndata: first event\nid: 1\n\n"
        "data:second event\nid\n\ndata:  third event\n",
        *(message("first event", last_id="1"), "second event"),
    ),
    case("data\n\ndata\ndata\n\ndata:", "", "\n"),
    case("data:test\n\ndata: test\n\n", "test", "test"),
    case(
        "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n",
        *(message("73857293", event="add"), message("2153", event="remove")),
    ),
]
NAMED = [("1", "a"), ("2", "message"), ("3", "b"), ("4", "a")]
# What is read of one field alone is among `FIELDS`.
PARSING = [
    case("data: Hello\n\ndata: World\n\n", "Hello", "World"),
    case("data: Hello\ndata:World\n\n", "Hello\nWorld"),
    case("event: greeting\nid: abc\ndata: Hello\n\n", HELLO),
    case("data: Hello\nid: abc\nevent: greeting\n\n", HELLO),
    # An id persists, also that of a block without data, until it is another one.
    case("id: a\n\ndata: b\n\ndata: c\n\n", *(message(it, last_id="a") for it in "bc")),
    case("id: a\ndata: b\n\nid: \ndata: c\n\n", message("b", last_id="a"), "c"),
    # A type and a retry do not.
    case("event: lost\n\ndata: Hello\n\n", "Hello"),
    case("event: a\nevent: b\ndata: c\n\n", message("c", event="b")),
    case("event: a\nevent\ndata: b\n\n", "b"),
    case(
        "event: a\ndata: 1\n\ndata: 2\n\nevent: b\ndata: 3\n\nevent: a\ndata: 4\n\n",
        *(message(data, event=event) for data, event in NAMED),
    ),
    case(
        "event: a\ndata: x\n\nevent: \ndata: y\n\nevent: \ndata: z\n\n",
        message("x", event="a"),
        *"yz",
    ),
    case("retry: 5\ndata: a\n\ndata: b\n\nretry: 6\n\ndata: c\n\n", message("a", retry=5), *"bc"),
    case("event: data: x\ndata: y\n\n", message("y", event="data: x")),
    case(b"retry: " + b"9" * 5000 + b"\ndata: a\n\n", "a"),
    case("data: €豆腐😀\n\n", "€豆腐😀"),
    # These end no line.
    case(
        "data: a\u2028b\u2029c\u0085d\x0b\x0c\x1c\x1d\x1ee\n\n",
        "a\u2028b\u2029c\u0085d\x0b\x0c\x1c\x1d\x1ee",
    ),
    case(
        b"data: \xff\xc3(\xe2\x82\xf0\x9f\x98\xed\xa0\x80\xc0\xaf\n\n",
        "\ufffd\ufffd(\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd",
    ),
    case(
        b"event: \xe2\x82\ndata: \xf0\x9f\ndata: \xe2\r\n\r\n",
        message("\ufffd\n\ufffd", event="\ufffd"),
    ),
    case(b"data\xff: no\ndata: yes\n\n", "yes"),
    case("data: a\n\ndata: b\n", "a"),
    case("data: a\n\ndata: b", "a"),
    case(""),
    case("\n\r\n\r\r\n\n"),
    case("".join(f"data: {i}\n\n" for i in range(50)), *map(str, range(50))),
]
BOMS = [
    case(BOM + b"event: greeting\nid: abc\ndata: Hello\n\n", HELLO),
    case(b"data: a\n\ndata: " + BOM + b"b\n\n", "a", "\ufeffb"),
    case(BOM + b"data: " + BOM + b"a\n\n", "\ufeffa"),
    case(BOM + b":comment\ndata: a\n\n", "a"),
    case(BOM + b"data:\n\n", ""),
    case(BOM + b"\r\ndata: a\n\n", "a"),
    case(BOM),
    case(b"\xef\xbbdata: no\ndata: yes\n\n", "yes"),
    case(b"\n" + BOM + b"data: no\ndata: yes\n\n", "yes"),
    case(b":\n" + BOM + b"data: no\ndata: yes\n\n", "yes"),
    case(b"\xfe\xffdata: no\ndata: yes\n\n", "yes"),
    case(b"\xef\xbb"),
    case(b"\xef\ndata: a\n\n", "a"),
    case(
        b"id: " + BOM + b"\nevent: " + BOM + b"\ndata: a\n\n",
        message("a", event="\ufeff", last_id="\ufeff"),
    ),
]
COMMENTS = [
    case(":Hello\n:World\n"),
    case(": a\n\n: b\n\ndata: c\n\n: d\n\n", "c"),
    case("id: 1\ndata: a\n\n:\n\n:\n\ndata: b\n\n", *(message(it, last_id="1") for it in "ab")),
    case("data: a\n: b\ndata: c\n\n", "a\nc"),
    case(":data: a\n\n"),
    case(":\r:\n:\r\ndata: a\n\n", "a"),
    case(":::\n: : :\ndata: a\n\n", "a"),
    case(b":\0\xff\xe2\x82\ndata: a\n\n", "a"),
    case("data: a\n:\n\n", "a"),
    case("data: a\n\n: keep-al", "a"),
]


def fed(end: str) -> Case:
    """Return a stream in which % is a line's end and a blank line, & is a line's end."""
    text = (
        "data: event 1%data: event 2 line 1&data: event 2 line 2%data:&data: line2&data: line3%"
        "data: line1&data:&data: line3%&data: after one more%&&data: after two more%"
        "event: x&data: named%id: 7&data: last%"
    )
    return case(
        text.replace("%", end + end).replace("&", end),
        *("event 1", "event 2 line 1\nevent 2 line 2", "\nline2\nline3", "line1\n\nline3"),
        *("after one more", "after two more"),
        *(message("named", event="x"), message("last", last_id="7")),
    )


LINE_FEEDS = [
    *map(fed, ("\n", "\r", "\r\n")),
    case("data: a\n\rdata: b\n\r", *"ab"),
    case("data: a\r\r\ndata: b\r\r\n", *"ab"),
    case("data: a\r\n\ndata: b\r\n\n", *"ab"),
    case("data: a\r\n\rdata: b\r\n\r", *"ab"),
    case("data: a\r\n\n\ndata: b\n\n", *"ab"),
    case("data: a\n\r\ndata: b\n\r\n", *"ab"),
    case("data: a\n\r\n\ndata: b\n\n", *"ab"),
    case("data: a\r\rdata: b\r", "a"),
    case("\r\n\r\n\rdata: a\r\r", "a"),
    case("data:\rdata: \ndata:x\r\n\r\n", "\n\nx"),
    case("data: a\rdata: b\ndata: c\r\n\r\ndata: d\n\r\ndata: e\r\r", "a\nb\nc", *"de"),
]

# What stands behind a field's name, and the value that it is.
SHAPES = {
    "": "",
    ":": "",
    ": ": "",
    ":v": "v",
    ": v": "v",
    ":  v": " v",
    ":v ": "v ",
    ":\tv": "\tv",
}
SHAPES |= {"::v": ":v", ": :v": ":v", ": data:v": "data:v", ":\u00a0v": "\u00a0v"}
NO_FIELDS = (" :v", "\0:v", "s:v", "\ufeff:v")
OTHERS = ("DATA", "Event", "iD", " data", "\0id", "color", "dat", "\ufeffdata")
RETRIES = {":5": 5, ": 5": 5, ": 0": 0, ": 05": 5}
NO_RETRIES = ("", ":", ": ", ":  5", ": 5 ", ": +5", ": -5", ": 5.0", ": 1e3", ": 0x5", ": 1_0")
NO_RETRIES += (": five", ": \u0665", " : 5")


def _fields() -> list[Case]:
    """Return every shape of every field, in each letter case and with each line end."""
    lines = [(name + it, message("first")) for name in ("data", "event", "id") for it in NO_FIELDS]
    lines += [(f"data{shape}", message(f"first\n{value}")) for shape, value in SHAPES.items()]
    for shape, value in SHAPES.items():
        lines.append((f"event{shape}", message("first", event=value or "message")))
        lines.append((f"id{shape}", message("first", last_id=value)))
    lines += [(f"{other}: v", message("first")) for other in OTHERS]
    lines += [(f"retry{shape}", message("first", retry=it)) for shape, it in RETRIES.items()]
    lines += [(f"retry{shape}", message("first")) for shape in NO_RETRIES]
    return [
        case(f"data: first{end}{line}{end}{end}", event)
        for end in ("\n", "\r", "\r\n")
        for line, event in lines
    ]


GROUPS = {
    "format": FORMAT,
    "standard": STANDARD,
    "parsing": PARSING,
    "bom": BOMS,
    "comments": COMMENTS,
    "line feeds": LINE_FEEDS,
    "fields": _fields(),
}

# What random streams are made of.
PIECES = [
    *[b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n"] * 3,
    *[b"data", b"data:", b"data: ", b"event: ", b"event:", b"id: ", b"id", b"retry: "] * 2,
    *[b"data: x\n\n", b"event: y\ndata: x\n\n", b"data: x\r\n\r\n", b"event: z\r\ndata: x\r\n\r\n"],
    *[b":", b" ", b"  ", b"\0", b"x", b"yz", b"7", b"42", b": keep-alive\n\n", b"foo: bar\n"],
    *[BOM, b"\xef", b"\xbb", b"\xbf", "é€😀".encode(), b"\xe2\x82", b"\x82", b"\xf0\x9f", b"\xff"],
    *["\u2028\u0085".encode(), b"\x0b\x0c\x1e", b"Data: x", b'{"a": "b"}'],
]
