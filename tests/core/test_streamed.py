"""A stream's turn: all that a whole turn tells, of what was read."""

from __future__ import annotations

import json

import pytest
from chatting import DONE, HI, finished, turn_of
from hypothesis import given
from hypothesis import strategies as st
from said_streams import STREAMS
from scripted_io import calls_of, stream
from sizes import examples

from pytest_hydrasmoke import ChatError, ChatStream, ConfigError
from pytest_hydrasmoke._core import kept_events
from pytest_hydrasmoke._core.kept_events import STREAMED, Kept
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.turn import ChatTurn

WORDS = [HI.replace(b"Hi", b"%d " % number) for number in range(9)]


def streamed(*chunks: bytes) -> ChatStream:
    _, calls = calls_of(None, chat=[stream(*chunks)])
    return ChatStream(turn_of(calls, kept=False))


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
    return ChatTurn(None, turn, kept)


@examples(40, 2_000)
@given(
    st.sampled_from(sorted(STREAMS)),
    st.lists(st.integers(0, 5_000), max_size=20),
    st.integers(0, 30),
)
def test_it_tells_what_a_whole_turn_tells(name: str, points: list[int], most: int) -> None:
    told = STREAMS[name]
    places = sorted({min(point, len(told)) for point in points})
    chunks = [told[a:b] for a, b in zip([0, *places], [*places, len(told)], strict=True) if a < b]
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


@pytest.mark.parametrize("together", [True, False])
def test_of_one_that_is_left_it_has_what_was_read(*, together: bool) -> None:
    chunks = [b"".join(WORDS)] if together else WORDS
    with streamed(*chunks) as events:
        assert events.turn.text == ""
        for number, _ in enumerate(events, 1):
            assert events.turn.text == "".join(f"{it} " for it in range(number))
            if number == 5:
                break
    assert events.turn.text == "0 1 2 3 4 "
    assert len(events.turn.events) == 5
    assert not events.turn.complete
    assert repr(events.turn).startswith("<ChatTurn 5 events in ")


def test_it_has_the_event_that_was_an_error_and_none_after_it() -> None:
    error = b'data: {"error": {"message": "Overloaded"}, "choices": []}\n\n'
    with pytest.raises(ChatError, match="Overloaded"), streamed(HI + error + HI) as events:
        list(events)
    assert [json.loads(it.data).get("error") is None for it in events.turn.events] == [True, False]


def test_of_a_long_one_it_has_its_times_and_end_and_says_that_the_rest_is_not_kept() -> None:
    size = STREAMED // 8
    long = HI.replace(b"Hi", b"x" * size)
    with streamed(*[long] * 9, finished("stop"), DONE) as events:
        assert sum(len(event.text) for event in events) == 9 * size
    turn = events.turn
    assert (turn.complete, turn.finish_reason) == (True, "stop")
    assert repr(turn).startswith("<ChatTurn many events in ")
    for read in (
        lambda: turn.text,
        lambda: turn.events,
        lambda: turn.tool_calls,
        lambda: turn.reasoning,
        lambda: turn.usage,
        turn.as_messages,
        lambda: turn.expect_tools(never=["delete"]),
    ):
        with pytest.raises(ChatError, match="more than 1 MiB of it came") as caught:
            read()
        assert "read it with chat()" in str(caught.value)


def test_so_it_is_where_its_events_take_too_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_events, "HELD", 1000)
    with streamed(*WORDS) as events:
        list(events)
    with pytest.raises(ChatError, match="not kept"):
        _ = events.turn.text


def test_nothing_counts_the_llm_events_of_a_clients_own_chats() -> None:
    with streamed(HI, DONE) as events:
        list(events)
    with pytest.raises(ConfigError, match="chat on smoke_instance"):
        events.turn.expect_llm_events()
