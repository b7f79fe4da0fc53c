"""Streams and their events, by the rules of WHATWG HTML, "9.2 Server-sent events".

The groups follow the web platform tests (`eventsource/format-*`), the standard's own examples,
and the SSE contract tests (parsing, BOM, comments, line feeds).
"""

from __future__ import annotations

from sse_tools import BOM, Row, message

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
    "empty type with a space": (
        b"event: a\ndata: x\n\nevent: \ndata: y\n\nevent: \ndata: z\n\n",
        [message("x", event="a"), message("y"), message("z")],
    ),
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
    "after a comment": (b":\n" + BOM + b"data: no\ndata: yes\n\n", [message("yes")]),
    "of UTF-16": (b"\xfe\xffdata: no\ndata: yes\n\n", [message("yes")]),
    "begun and never finished": (b"\xef\xbb", []),
    "begun, then a line end": (b"\xef\ndata: a\n\n", [message("a")]),
    "before a colon": (BOM + b": comment\n\n", []),
    "in an id and a type": (
        b"id: " + BOM + b"\nevent: " + BOM + b"\ndata: a\n\n",
        [message("a", event="\ufeff", last_id="\ufeff")],
    ),
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
    "colon alone, each line end": (b":\r:\n:\r\ndata: a\n\n", [message("a")]),
    "many colons": (b":::\n: : :\ndata: a\n\n", [message("a")]),
    "null and invalid bytes": (b":\0\xff\xe2\x82\ndata: a\n\n", [message("a")]),
    "after the last line of an event": (b"data: a\n:\n\n", [message("a")]),
    "not finished": (b"data: a\n\n: keep-al", [message("a")]),
}


def line_feeds(end: bytes) -> bytes:
    """Return the stream of `FED`; % is a line's end and a blank line, & is a line's end."""
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
    "LF CRLF": (b"data: a\n\r\ndata: b\n\r\n", [message("a"), message("b")]),
    "LF CR LF LF": (b"data: a\n\r\n\ndata: b\n\n", [message("a"), message("b")]),
    "CR at the end": (b"data: a\r\rdata: b\r", [message("a")]),
    "two CR at the end": (b"data: a\r\r", [message("a")]),
    "before anything": (b"\r\n\r\n\rdata: a\r\r", [message("a")]),
    "in no value": (b"data:\rdata: \ndata:x\r\n\r\n", [message("\n\nx")]),
    "mixed": (
        b"data: a\rdata: b\ndata: c\r\n\r\ndata: d\n\r\ndata: e\r\r",
        [message("a\nb\nc"), message("d"), message("e")],
    ),
}

# The examples of the standard's own text.
STANDARD = {
    "stocks": (b"data: YHOO\ndata: +2\ndata: 10\n\n", [message("YHOO\n+2\n10")]),
    "four blocks": (
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"
            b"data:  third event\n"
        ),
        [message("first event", last_id="1"), message("second event")],
    ),
    "empty data": (b"data\n\ndata\ndata\n\ndata:", [message(""), message("\n")]),
    "one space": (b"data:test\n\ndata: test\n\n", [message("test"), message("test")]),
    "named": (
        b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n",
        [message("73857293", event="add"), message("2153", event="remove")],
    ),
}

# What stands behind a field's name, and the value that it is; None where it is no such field.
SHAPES: dict[str, str | None] = {
    "": "",
    ":": "",
    ": ": "",
    ":v": "v",
    ": v": "v",
    ":  v": " v",
    ":v ": "v ",
    ":\tv": "\tv",
    "::v": ":v",
    ": :v": ":v",
    ": data:v": "data:v",
    ":\u00a0v": "\u00a0v",
    " :v": None,
    "\0:v": None,
    "s:v": None,
    "\ufeff:v": None,
}
RETRIES: dict[str, int | None] = {
    "": None,
    ":": None,
    ": ": None,
    ":5": 5,
    ": 5": 5,
    ": 0": 0,
    ": 05": 5,
    ":  5": None,
    ": 5 ": None,
    ": +5": None,
    ": -5": None,
    ": 5.0": None,
    ": 1e3": None,
    ": 0x5": None,
    ": 1_0": None,
    ": five": None,
    ": \u0665": None,
    " : 5": None,
}
ENDS = {"LF": "\n", "CR": "\r", "CRLF": "\r\n"}


def _field(name: str, value: str | None) -> Row:
    if name == "data":
        return message("first" if value is None else f"first\n{value}")
    if name == "event":
        return message("first", event=value or "message")
    return message("first", last_id=value or "")


def _fields() -> dict[str, tuple[bytes, list[Row]]]:
    """Return every shape of every field, in each letter case and with each line end."""
    table: dict[str, tuple[bytes, list[Row]]] = {}
    for end_name, end in ENDS.items():
        for name in ("data", "event", "id"):
            for shape, value in SHAPES.items():
                stream = f"data: first{end}{name}{shape}{end}{end}"
                table[f"{name}{shape!a} {end_name}"] = stream.encode(), [_field(name, value)]
        for other in ("DATA", "Event", "iD", " data", "\0id", "color", "dat", "\ufeffdata"):
            stream = f"data: first{end}{other}: v{end}{end}"
            table[f"{other!a} {end_name}"] = stream.encode(), [message("first")]
        for shape, retry in RETRIES.items():
            stream = f"retry{shape}{end}data: first{end}{end}"
            table[f"retry{shape!a} {end_name}"] = stream.encode(), [message("first", retry=retry)]
    return table


GROUPS = {
    "format": FORMAT,
    "standard": STANDARD,
    "parsing": PARSING,
    "bom": BOMS,
    "comments": COMMENTS,
    "line feeds": LINE_FEEDS,
    "fields": _fields(),
}
