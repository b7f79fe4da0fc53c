"""What the decoder is beside the standard: limits, totals, times, sizes, and an event's JSON."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sse_cases import PIECES
from sse_reference import reference
from sse_tools import BOM, cut, in_bytes

from pytest_hydrasmoke._sse.decoder import ChatEvent, SseDecoder, SseLimitError

streams = st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=40).map(b"".join)
sources = st.randoms(use_true_random=False)

# --- what it tells beside events ---------------------------------------------------------------

WHOLE = (b"", BOM, BOM[:2], b"data: a\n\n", b"data: a\r\r", b"data: a\r\n\r", b": keep-al")
WHOLE += (b"data: a\n\n: keep-alive\n", b"data: a\ndata: b\n\n")
PENDING = (
    b"d",
    BOM + b"d",
    b"data: a\n\ndata: b",
    b"data: a\n\ndata: b\n",
    b"event: a\n",
    b"id: a\n",
)
PENDING += (b"data: a\n: keep-al",)


@pytest.mark.parametrize(
    ("stream", "pending"), [*((it, False) for it in WHOLE), *((it, True) for it in PENDING)]
)
def test_pending_tells_a_stream_cut_within_an_event(stream: bytes, pending: bool) -> None:
    for chunks in ([stream], in_bytes(stream)):
        decoder = SseDecoder()
        for chunk in chunks:
            decoder.feed(chunk)
        assert decoder.pending is pending


def test_totals_and_the_time_of_the_chunk_that_completed_an_event() -> None:
    decoder = SseDecoder()
    fed = 0
    for chunk, at, events in (
        (BOM + b": x\r\ndata: a\n", 1.0, []),
        (
            b"\ndata: b\n\nevent: x\ndata: c\n\nid: 1\ndata: d\ndata: e\n\nda",
            2.5,
            ["a", "b", "c", "d\ne"],
        ),
        (b"ta\n\n", 4.0, [""]),
        (b"data: f\n", 5.0, []),
        (b"\n", 6.0, ["f"]),
        (b"data: g\n\ndata: h\n", 7.0, ["g"]),
        (b"\n\n\n", 8.0, ["h"]),
    ):
        before, fed = decoder.total_events, fed + len(chunk)
        assert [(it.data, it.at) for it in decoder.feed(chunk, at)] == [(it, at) for it in events]
        assert decoder.total_bytes == fed
        assert decoder.total_events == before + len(events)
    assert not decoder.pending
    assert [it.at for it in SseDecoder().feed(b"data: a\n\n")] == [0.0]


def test_an_event_adds_what_its_chat_reads_in_it() -> None:
    event = ChatEvent("message", "Hi")
    assert event.text == ""
    event._reads = "Hi!"
    assert event.text == "Hi!"
    event._reads = lambda it: f"{it.data}, read late"
    assert event.text == "Hi, read late"


@pytest.mark.parametrize(
    ("data", "quoted"),
    [
        ("", "''"),
        ("hello", "'hello'"),
        ("\x1b[31m::error::\n", r"'\x1b[31m::error::\n'"),
        ("x" * 80, repr("x" * 80)),
        ("y" * 1000, repr("y" * 80) + "..."),
        # What Python refuses is a ValueError too.
        ("[" * 100_000, repr("[" * 80) + "..."),
        ("9" * 5000, repr("9" * 80) + "..."),
    ],
    ids=lambda it: repr(it[:20]),
)
def test_json_parses_the_data_or_quotes_what_is_none(data: str, quoted: str) -> None:
    assert ChatEvent("message", '{"a": [1, null]}').json() == {"a": [1, None]}
    for name, shown in (("token", "token"), ("t" * 100, "t" * 80)):
        with pytest.raises(ValueError) as caught:
            ChatEvent(name, data).json()
        told = str(caught.value)
        assert told.startswith(f"the data of the '{shown}' event is not JSON, ")
        assert told.endswith(f": {quoted}")
        assert len(told) < 400


# --- limits --------------------------------------------------------------------------------------


def outcome(chunks: Iterable[bytes], **limits: int) -> tuple[list[str], str | None]:
    decoder = SseDecoder(**limits)
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


A = b"data: a\n\n"
ALIVE = b": keep-alive\n"
NO_DATA = A + b"id: 1\n\n: x\n\nevent: y\n\n"
LIMITS: list[tuple[bytes, dict[str, int], tuple[list[str], str | None]]] = [
    # One event: a line, lines, and an unfinished line, at the limit and beyond; in bytes.
    (A + b"data: " + b"b" * 100, {"max_event": 99}, (["a"], "max_event")),
    (A + b"data: bbbbbbbb\n" * 9 + b"\n", {"max_event": 99}, (["a"], "max_event")),
    (b"data: aaa\n\n", {"max_event": 10}, (["aaa"], None)),
    (b"data: aaa\n\n", {"max_event": 9}, ([], "max_event")),
    (b"data: ab", {"max_event": 8}, ([], None)),
    (b"data: abc", {"max_event": 8}, ([], "max_event")),
    (b"data: aa\r\n\r\ndata: bb\r\n\r\n", {"max_event": 9}, (["aa", "bb"], None)),
    (BOM + b"data: aaa\n\n", {"max_event": 10}, (["aaa"], None)),
    ("data: €€€\n\n".encode(), {"max_event": 15}, ([], "max_event")),
    # Finished comments do not count, within an event and outside.
    (ALIVE * 50 + A, {"max_event": 20}, (["a"], None)),
    (b"data: a\n: a long comment\n" * 2 + b"\n", {"max_event": 40}, (["a\na"], None)),
    (A + b":" + b"x" * 100, {"max_event": 50}, (["a"], "max_event")),
    # All bytes, and all events: blocks without data are none.
    (b": keep-alive\n\n" * 50, {"max_total": 500}, ([], "max_total")),
    (A * 3, {"max_total": 27}, (["a", "a", "a"], None)),
    (A * 3, {"max_total": 26}, (["a", "a"], "max_total")),
    (A * 3, {"max_events": 3}, (["a", "a", "a"], None)),
    (A * 3, {"max_events": 2}, (["a", "a"], "max_events")),
    (NO_DATA, {"max_events": 1}, (["a"], None)),
    (b"", {"max_total": 0}, ([], None)),
]


@pytest.mark.parametrize(("stream", "limits", "expected"), LIMITS)
def test_limits_hold_however_the_stream_is_cut(
    stream: bytes, limits: dict[str, int], expected: tuple[list[str], str | None]
) -> None:
    assert outcome(in_bytes(stream), **limits) == expected
    for i in range(len(stream) + 1):
        assert outcome([stream[:i], stream[i:]], **limits) == expected, f"cut at {i}"


@given(
    stream=streams,
    source=sources,
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
    for chunk, events in ((A + b"data: bbbbbbbbbbbbbbbbbb\n\n", ["a"]), (b"data: c\n\n", [])):
        with pytest.raises(SseLimitError, match=f"^{text[:-1]}".replace("(", r"\(")) as caught:
            decoder.feed(chunk)
        assert {caught.value.limit: caught.value.value} == limits
        assert [event.data for event in caught.value.events] == events


def test_what_a_chat_may_have() -> None:
    for chunk, value, events in (
        (b"data\n\n" * 100_001, 100_000, 100_000),
        (b"data:" + b"x" * (1 << 20), 1 << 20, 0),
        ((b":" * 999_999 + b"\n") * 17, 16 << 20, 0),
    ):
        with pytest.raises(SseLimitError) as caught:
            SseDecoder().feed(chunk)
        assert (caught.value.value, len(caught.value.events)) == (value, events)


# --- size ----------------------------------------------------------------------------------------


def kept(value: object) -> int:
    """Count the bytes and characters that an object holds on to, whatever it calls them."""
    if isinstance(value, bytes | str):
        return len(value)
    if isinstance(value, list | tuple):
        return sum(map(kept, value))
    names = (*getattr(value, "__dict__", ()), *getattr(value, "__slots__", ()))
    return sum(kept(getattr(value, name)) for name in names)


@given(stream=streams, source=sources, max_event=st.integers(4, 60))
def test_no_more_is_kept_than_an_event_and_the_last_id(
    stream: bytes, source: random.Random, max_event: int
) -> None:
    decoder = SseDecoder(max_event=max_event)
    bare = kept(decoder)
    assert decoder.feed(b": x") == []
    assert kept(decoder) == bare + 3
    for chunk in (b"\n", *cut(stream * 3, source)):
        try:
            decoder.feed(chunk)
        except SseLimitError:
            break
        assert kept(decoder) - bare <= 2 * max_event


@pytest.mark.parametrize("piece", [b"x" * 4096, b"data: " + b"x" * 100 + b"\n", b"data\n" * 800])
def test_a_flood_is_stopped_near_the_limit(piece: bytes) -> None:
    decoder = SseDecoder(max_event=1 << 16)
    with pytest.raises(SseLimitError):
        all(decoder.feed(piece) == [] for _ in range(1 << 16))
    assert decoder.total_bytes <= (1 << 16) + len(piece)


def in_pieces(stream: bytes, size: int) -> Iterator[bytes]:
    return (stream[i : i + size] for i in range(0, len(stream), size))


LONG: dict[str, Any] = {"max_event": 1 << 30, "max_total": 1 << 30}


@pytest.mark.parametrize("size", [64, 1 << 30])
def test_time_is_linear_in_an_event(size: int) -> None:
    """Bytes that grew by each chunk would be copied 30 GB here."""
    decoder = SseDecoder(**LONG)
    for line, lines in (("x" * 2_000_000, 1), ("line", 40_000)):
        stream = f"data: {line}\r\n".encode() * lines + b"\r\n"
        events = [event for chunk in in_pieces(stream, size) for event in decoder.feed(chunk)]
        assert [event.data for event in events] == ["\n".join([line] * lines)]


def test_memory_stays_flat() -> None:
    decoder = SseDecoder(**LONG)
    chunk = b'event: delta\ndata: {"content": "token"}\n\nid: 7\ndata: x\n\n: keep-alive\n' * 20
    tracemalloc.start()
    try:
        decoder.feed(chunk)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(100):
            decoder.feed(chunk)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 4_000
    assert peak - before < 100_000
