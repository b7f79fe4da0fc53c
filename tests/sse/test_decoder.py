"""What the decoder is beside the standard: limits, totals, times, sizes, and an event's JSON."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sse_reference import reference
from sse_streams import PIECES
from sse_tools import BOM, cut, in_bytes, rows

from pytest_hydrasmoke._sse.decoder import ChatEvent, SseDecoder, SseLimitError

streams = st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=40).map(b"".join)
sources = st.randoms(use_true_random=False)


@given(stream=streams, source=sources)
def test_chunks_never_matter(stream: bytes, source: random.Random) -> None:
    expected = reference(stream)
    assert rows([stream]) == expected
    assert rows(cut(stream, source)) == expected
    assert rows(in_bytes(stream)) == expected


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


def test_events_of_one_chunk_have_one_time() -> None:
    chunk = b"data: a\n\nevent: x\ndata: b\n\nid: 1\ndata: c\n\ndata: d\ndata: e\n\n"
    assert [(e.data, e.at) for e in SseDecoder().feed(chunk, 2.5)] == [
        ("a", 2.5),
        ("b", 2.5),
        ("c", 2.5),
        ("d\ne", 2.5),
    ]


def test_an_event_that_a_lone_line_end_completes_has_its_time() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\n", 1.0) == []
    assert [e.at for e in decoder.feed(b"\n", 2.5)] == [2.5]
    assert [e.at for e in SseDecoder().feed(b"data: a\n\n")] == [0.0]


def test_an_event_has_its_time_whatever_follows_it() -> None:
    assert [e.at for e in SseDecoder().feed(b"data: a\n\ndata: b\n", 2.5)] == [2.5]


def test_an_unfinished_line_may_be_as_long_as_the_limit_and_no_longer() -> None:
    decoder = SseDecoder(max_event=8)
    assert decoder.feed(b"data: ab") == []
    with pytest.raises(SseLimitError) as caught:
        decoder.feed(b"c")
    assert (caught.value.limit, caught.value.value) == ("max_event", 8)


def test_nothing_is_pending_after_an_event_of_several_chunks() -> None:
    decoder = SseDecoder()
    decoder.feed(b"data: a\n")
    assert decoder.pending
    decoder.feed(b"data: b\n\n")
    assert not decoder.pending


def test_an_event_adds_what_its_chat_reads_in_it() -> None:
    event = ChatEvent("message", "Hi")
    assert event.text == ""
    event._reads = "Hi!"
    assert event.text == "Hi!"
    event._reads = lambda it: f"{it.data}, read late"
    assert event.text == "Hi, read late"


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


def test_a_chat_may_have_100_000_events() -> None:
    decoder = SseDecoder()
    with pytest.raises(SseLimitError) as caught:
        decoder.feed(b"data\n\n" * 100_001)
    assert (len(caught.value.events), caught.value.value) == (100_000, 100_000)


def test_comments_within_an_event_do_not_count() -> None:
    decoder = SseDecoder(max_event=40)
    chunk = b"data: a\n: a long comment\n"
    assert [decoder.feed(chunk) for _ in range(2)] == [[], []]
    assert [event.data for event in decoder.feed(b"\n")] == ["a\na"]


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
