"""A stream's turn, of which nothing is kept: what only adds text is returned unread."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import pytest
from core_tools import DONE, HI, WORD, Chatted, finished, turn_of
from hypothesis import given
from hypothesis import strategies as st
from said_streams import STREAMS
from scripted_io import calls_of, stream
from sizes import examples

from pytest_hydrasmoke import ChatError, ChatStream, ConfigError, ToolCallsError
from pytest_hydrasmoke._core import kept
from pytest_hydrasmoke._core.incoming import Incoming, Reading
from pytest_hydrasmoke._core.kept import STREAMED, Kept
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._runtimes.read import Reader
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.turn import ChatTurn

WORDS = [HI.replace(b"Hi", b"%d " % number) for number in range(9)]
POINTS = st.lists(st.integers(0, 20_000), max_size=25)


def cut_at(told: bytes, points: list[int]) -> list[bytes]:
    places = sorted({min(point, len(told)) for point in points})
    return [told[a:b] for a, b in zip([0, *places], [*places, len(told)], strict=True) if a < b]


def streamed(*chunks: bytes) -> ChatStream:
    _, calls = calls_of(None, chat=[stream(*chunks)])
    return ChatStream(turn_of(calls, kept=False))


def outcome(chunks: list[bytes], *, kept: bool) -> tuple[object, ...]:
    it = Chatted(*chunks, end="auto", kept=kept)
    came, told = it.came, None if it.error is None else str(it.error)
    end = came.end.complete, came.end.finish_reason, came.end.runtimes
    after = came.times.first_event, came.times.first_text, came.duration
    return it.data, it.text, told, end, after


@examples(100, 5_000)
@given(st.lists(st.sampled_from(sorted(STREAMS)), min_size=1, max_size=2), POINTS)
def test_it_ends_and_fails_as_if_each_event_were_read(names: list[str], points: list[int]) -> None:
    chunks = cut_at(b"".join(STREAMS[name] for name in names), points)
    assert outcome(chunks, kept=False) == outcome(chunks, kept=True)


def whole(chunks: list[bytes], most: int) -> ChatTurn | None:
    """Return the turn as `chat` gives it, if its reader stops after so many events."""
    _, calls = calls_of(None, chat=[stream(*chunks)])
    kept = Kept(Content())
    turn = turn_of(calls)
    turn.came.content = kept.content
    drive(turn.open())
    try:
        while len(kept.events) < most and (event := drive(turn.next())) is not None:
            kept.add(event)
    except ChatError:
        return None
    finally:
        drive(turn.close())
    return ChatTurn(turn, kept)


def test_a_last_line_done_is_an_event_of_its_turn() -> None:
    with streamed(HI, DONE.strip()) as events:
        assert [event.data for event in events][-1] == "[DONE]"
    assert [event.data for event in events.turn.events][-1] == "[DONE]"
    assert events.turn.complete


@examples(40, 2_000)
@given(st.sampled_from(sorted(STREAMS)), POINTS, st.integers(0, 30))
def test_it_tells_what_a_whole_turn_tells(name: str, points: list[int], most: int) -> None:
    chunks = cut_at(STREAMS[name], points)
    expected = whole(chunks, most)
    if expected is None:
        return
    with streamed(*chunks) as events:
        for _ in zip(range(most), events, strict=False):
            pass
    found = events.turn
    assert found.events == expected.events
    assert [event.text for event in found.events] == [event.text for event in expected.events]
    assert (found.text, found.reasoning) == (expected.text, expected.reasoning)
    assert (found.tool_calls, found.usage) == (expected.tool_calls, expected.usage)
    assert found.as_messages() == expected.as_messages()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The data of the events that are read one by one."""
    found: list[str] = []
    reading = Reader.read

    def noted(self: Reader, event: Any) -> Any:
        found.append(event.data)
        return reading(self, event)

    monkeypatch.setattr(Reader, "read", noted)
    return found


def test_only_what_may_be_more_than_text_is_read(read: list[str]) -> None:
    with streamed(HI * 2, HI * 50, HI * 9 + finished("stop") + DONE) as events:
        told = list(events)
    assert len(read) == 2 + 2
    assert "".join(event.text for event in told) == "Hi" * 61
    read.clear()
    it = Chatted(HI * 2, finished("stop"), HI * 9, end="required", kept=False)
    assert it.error is not None, "what is said after an end takes it back"
    assert len(read) >= 2 + 1 + 9


def test_nothing_is_lost_where_more_arrives_before_all_is_taken() -> None:
    came, told = Incoming(Reading(), "required"), list[str]()
    for number, chunk in enumerate([HI * 2, HI * 9, WORDS[0] + WORDS[1], WORDS[2] * 2 + DONE]):
        came.feed(chunk, float(number))
        while len(told) < 2 + number and (event := came.take()) is not None:
            told.append(event.text)
    while (event := came.take()) is not None:
        told.append(event.text)
    assert told == ["Hi"] * 11 + ["0 ", "1 ", "2 ", "2 ", ""]
    assert came.end.complete


@pytest.mark.parametrize("together", [True, False])
def test_of_one_that_is_left_it_has_what_was_read(*, together: bool) -> None:
    chunks = [b"".join(WORDS)] if together else WORDS
    with streamed(*chunks) as events:
        assert events.turn.text == ""
        for number, _ in enumerate(islice(events, 5), 1):
            assert events.turn.text == "".join(f"{it} " for it in range(number))
    with pytest.raises(ChatError, match="not open"):
        next(events)
    assert events.turn.text == "0 1 2 3 4 "
    assert len(events.turn.events) == 5
    assert not events.turn.complete
    assert repr(events.turn).startswith("<ChatTurn 5 events in ")
    with pytest.raises(ToolCallsError, match="does not show which tools were never called"):
        events.turn.expect_tools(never=["send"])


def test_while_it_is_read_nothing_was_never_called() -> None:
    with streamed(HI, HI, finished("stop") + DONE) as events:
        next(events)
        for expected in ({"mode": "exact"}, {"never": ["send"]}):
            with pytest.raises(ToolCallsError, match="which tools were never called"):
                events.turn.expect_tools(**expected)  # type: ignore[arg-type]
        list(events)
        events.turn.expect_tools(mode="exact")
    events.turn.expect_tools(never=["send"])


def test_it_is_entered_once() -> None:
    with streamed(HI, DONE) as events:
        list(events)
    with pytest.raises(ConfigError, match="a stream is entered once"), events:
        pass
    assert events.turn.text == "Hi"


def test_it_has_the_event_that_was_an_error_and_none_after_it() -> None:
    error = b'data: {"error": {"message": "Overloaded"}, "choices": []}\n\n'
    with pytest.raises(ChatError, match="Overloaded"), streamed(HI + error + HI) as events:
        list(events)
    assert [json.loads(it.data).get("error") is None for it in events.turn.events] == [True, False]


def test_of_a_long_one_it_has_its_times_and_end_and_says_that_the_rest_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = STREAMED // 8
    long = HI.replace(b"Hi", b"x" * size)
    with streamed(*[long] * 9, finished("stop"), DONE) as events:
        assert sum(len(event.text) for event in events) == 9 * size
    turn = events.turn
    assert (turn.complete, turn.finish_reason) == (True, "stop")
    assert repr(turn).startswith("<ChatTurn many events in ")
    whole = ("text", "events", "tool_calls", "reasoning", "usage", "as_messages", "expect_tools")
    for name in whole:
        with pytest.raises(ChatError, match="more than 1 MiB of it came") as caught:
            getattr(turn, name)()
        assert "read it with chat()" in str(caught.value)
    # So it is where its events take too much memory.
    monkeypatch.setattr(kept, "HELD", 1000)
    with streamed(*WORDS) as events:
        list(events)
    with pytest.raises(ChatError, match="not kept"):
        _ = events.turn.text


def test_a_call_that_has_no_name_is_none_that_was_never_made() -> None:
    call = {"index": 0, "id": "a", "function": {"name": None, "arguments": "{}"}}
    frame = json.dumps({"choices": [{"delta": {"tool_calls": [call]}}]}).encode()
    with streamed(b"data: " + frame + b"\n\n", finished("stop"), DONE) as events:
        list(events)
    assert events.turn.tool_calls == ()
    with pytest.raises(ToolCallsError, match="may be of any tool"):
        events.turn.expect_tools(mode="exact")


def test_nothing_counts_the_llm_events_of_a_clients_own_chats() -> None:
    with streamed(WORD, DONE) as events:
        list(events)
    with pytest.raises(ConfigError, match="chat on smoke_instance"):
        events.turn.expect_llm_events()
