"""A turn that nobody keeps: what only adds text is returned unread, and nothing else is missed."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from chatting import DONE, HI, Chatted, finished, turn_of
from hypothesis import given
from hypothesis import strategies as st
from said_streams import STREAMS
from scripted_io import calls_of, stream
from sizes import examples

from pytest_hydrasmoke import ChatError
from pytest_hydrasmoke._core.incoming import Incoming
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._runtimes.reader import Reader
from pytest_hydrasmoke.turn import ChatStream

Outcome = tuple[object, ...]


def said(text: str) -> bytes:
    return HI.replace(b"Hi", text.encode())


def outcome(chunks: list[bytes], *, kept: bool) -> Outcome:
    it = Chatted(*chunks, end="auto", kept=kept)
    came, told = it.came, None if it.error is None else str(it.error)
    end = came.end.complete, came.end.finish_reason, came.end.runtimes
    after = came.first_event_after, came.first_text_after, came.duration
    return it.data, it.text, told, end, after


@examples(100, 5_000)
@given(
    st.lists(st.sampled_from(sorted(STREAMS)), min_size=1, max_size=2),
    st.lists(st.integers(0, 20_000), max_size=30),
)
def test_it_ends_and_fails_as_if_each_event_were_read(names: list[str], points: list[int]) -> None:
    told = b"".join(STREAMS[name] for name in names)
    places = sorted({min(point, len(told)) for point in points})
    chunks = [told[a:b] for a, b in zip([0, *places], [*places, len(told)], strict=True) if a < b]
    assert outcome(chunks, kept=False) == outcome(chunks, kept=True)


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
    _, calls = calls_of(None, chat=[stream(HI * 2, HI * 50, HI * 9 + finished("stop") + DONE)])
    with ChatStream(turn_of(calls, kept=False)) as events:
        told = list(events)
    assert len(read) == 2 + 2
    assert "".join(event.text for event in told) == "Hi" * 61


@pytest.mark.parametrize("end", [finished("stop"), finished("stop") + DONE])
def test_after_an_end_all_is_read(read: list[str], end: bytes) -> None:
    it = Chatted(HI * 2, end, HI * 9, end="required", kept=False)
    assert it.error is not None, "what is said after an end takes it back"
    assert len(read) >= 2 + 1 + 9


def test_a_stream_that_was_left_returns_no_more_of_what_has_arrived() -> None:
    _, calls = calls_of(None, chat=[stream(HI * 2, HI * 9)])
    with ChatStream(turn_of(calls, kept=False)) as events:
        assert [event.text for event in islice(events, 5)] == ["Hi"] * 5
    with pytest.raises(ChatError, match="not open"):
        next(events)


def test_nothing_is_lost_where_more_arrives_before_all_is_taken() -> None:
    came = Incoming(Reading(), "required")
    told: list[str] = []
    for number, chunk in enumerate([HI * 2, HI * 9, said("a") + said("b"), said("c") * 2 + DONE]):
        came.feed(chunk, float(number))
        while len(told) < 2 + number and (event := came.take()) is not None:
            told.append(event.text)
    while (event := came.take()) is not None:
        told.append(event.text)
    assert told == ["Hi"] * 11 + ["a", "b", "c", "c", ""]
    assert came.end.complete
