"""A stream's events are read one like the other, and mean what they mean if each is read whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from runtimes_tools import block, call, chunk, delta, event_of, message, only_text, typed
from said_streams import STREAMS
from sizes import examples

from pytest_hydrasmoke._runtimes import read as reading
from pytest_hydrasmoke._runtimes.read import Reader, read
from pytest_hydrasmoke._sse.decoder import ChatEvent, SseDecoder

Makes = dict[str, Callable[[str], Any]]
TEXT: Makes = {
    "chunks": lambda text: chunk({"content": text}),
    "chunks after a word": lambda text: {"model": "Hi", **chunk({"content": text})},
    "chunks with a role": lambda text: chunk({"role": "assistant", "content": text}),
    "chunks of lists": lambda text: chunk({"content": [{"type": "text", "text": text}]}),
    "whole answers": lambda text: {"choices": [{"message": {"content": text}}]},
    "responses": lambda text: typed("response.output_text.delta", delta=text),
    "messages": lambda text: ("content_block_delta", delta(0, "text_delta", text=text)),
    "ag-ui": lambda text: typed("TEXT_MESSAGE_CONTENT", messageId="m", delta=text),
    "ai-sdk": lambda text: typed("text-delta", textDelta=text, text="x"),
    "goose": lambda text: message("assistant", type="text", text=text),
    "hermes run": lambda text: {"event": "message.delta", "delta": text},
    "hermes session": lambda text: ("assistant.delta", {"delta": text}),
    "typed": lambda text: typed("token", content=text),
    "typeless": lambda text: {"content": text, "finish_reason": None},
    "named": lambda text: ("token", {"text": text}),
    "quoted": json.dumps,
}
"""Events that say a text, by what sends them."""
BESIDE: Makes = {
    "reasoning": lambda text: chunk({"reasoning_content": text}),
    "reasoning that repeats": lambda text: {"event": "reasoning.available", "text": text},
    "arguments": lambda text: call(7, arguments=text),
    "blocks": lambda text: delta(1, "input_json_delta", partial_json=text),
}
"""Events with a text that is not of the reply."""
KINDS = {**TEXT, **BESIDE}


def taught(make: Callable[[str], Any]) -> Reader:
    """Return a reader that has read two events like those that are made."""
    it = Reader()
    for text in ("Hi", " there"):
        event = event_of(make(text))
        assert it.read(event) == read(event)
    return it


@pytest.mark.parametrize("kind", KINDS)
def test_from_the_third_event_on_only_its_text_is_read(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, make = taught(KINDS[kind]), KINDS[kind]
    assert it.speaking([]) == 0
    spoken = [event_of(make(text)) for text in ("x", "any", "two\nlines", "é 🐙")]
    # What is beside the reply is never passed over.
    assert it.speaking(spoken) == (len(spoken) if kind in TEXT else 0)
    texts = ("x", 'a "b"\n', "\ud800", "é" * 5000, "\\", "\u2028", "any text")
    expected = [read(event_of(make(text))) for text in texts]
    monkeypatch.setattr(reading, "read", None)
    assert [it.read(event_of(make(text))) for text in texts] == expected
    assert [it.text_of(event_of(make(text))) for text in texts] == [one.text for one in expected]


@pytest.mark.parametrize("kind", TEXT)
def test_what_can_not_be_told_from_others_at_a_glance_is_not_passed_over(kind: str) -> None:
    it, make = taught(TEXT[kind]), TEXT[kind]
    like = event_of(make("x"))
    others = [event_of(make(text)) for text in ("", '"', "\\", 'say "Hi"')]
    for name, data in (
        *(("done", like.data), (like.event, like.data * 2), ("message", "[DONE]")),
        *((like.event, like.data[:-1]), (like.event, like.data[1:])),
        *((like.event, like.data.replace('"x"', f'"{it}"', 1)) for it in ("\n", "\\0", "\\u00g0")),
    ):
        others.append(ChatEvent(name, data))
    for other in others:
        assert it.speaking([like, other, like]) == 1
        assert taught(make).read(other) == read(other)
    assert Reader().speaking([like]) == 0


UNLIKE: Makes = {
    "a text that decides": lambda text: typed(text, content=text),
    "a text and a call": lambda text: chunk({"content": text, "tool_calls": [{"id": "a"}]}),
    "a text and an end": lambda text: {"content": text, "done": True},
    "a text and its reason": lambda text: {"content": text, "finish_reason": "stop"},
    "a text that is told twice": lambda text: typed("token", content=text, text=text),
    "a call": lambda text: block(0, type="tool_use", id="a", name=text),
    "a long one": lambda text: chunk({"content": text}, x="x" * 4096),
    "plain text": lambda text: text,
    "usage": lambda text: {"content": text, "usage": {"prompt_tokens": 7}},
}


@pytest.mark.parametrize("kind", UNLIKE)
def test_all_else_is_read_whole(kind: str) -> None:
    it = Reader()
    for text in ("error", "error", "token", "token", "done", "x", "x", "error"):
        event = event_of(UNLIKE[kind](text))
        assert it.speaking([event]) == 0
        assert it.read(event) == read(event)


def test_an_agent_may_say_what_stands_in_for_its_text() -> None:
    make: Callable[[str], Any] = lambda role: chunk({"content": "any text", "role": role})  # noqa: E731
    it = Reader()
    for role in ("any text", "any text", "assistant", "user"):
        check(it, event_of(make(role)))


def check(it: Reader, event: ChatEvent) -> None:
    """See that an event is read right, and not passed over if it is more than a text."""
    found = read(event)
    assert only_text(found) or it.speaking([event]) == 0
    assert it.read(event) == found


def test_streams_are_read_event_by_event_and_chunk_by_chunk() -> None:
    passed = 0
    for stream in STREAMS.values():
        events = SseDecoder().feed(stream)
        for size in (1, 3, 20):
            it = Reader()
            for start in range(0, len(events), size):
                together = events[start : start + size]
                spoke = it.speaking(together)
                passed += spoke
                assert all(only_text(read(event)) for event in together[:spoke])
                for event in together:
                    check(it, event)
    assert passed > 1000
    # A pause between does not matter.
    make, ping = TEXT["messages"], event_of(typed("ping"))
    it = Reader()
    for event in (event_of(make("a")), ping, event_of(make("b")), ping):
        check(it, event)
    assert it.speaking([event_of(make("c")), ping, event_of(make("c"))]) == 1


SPELLED = r"""
    " \ \" \u0022 { } [ ] , : null true "finish_reason":"stop" ","finish_reason":"stop
    "},"finish_reason":"stop"}],"x":[{"y":" ","error":"boom \","error":"boom ","done":true,"x":"
    ","\u0064one":true,"x":" ","type":"error","x":" ","usage":{"prompt_tokens":7},"x":" [DONE]
    ","tool_calls":[{"id":"a"}],"x":" ","reasoning":"hm ","role":"user
"""
PIECES = st.sampled_from([*SPELLED.split(), " ", "\n", "\0", "\u2028", ""]) | st.text(max_size=3)


@st.composite
def changed(draw: st.DrawFn) -> tuple[str, ChatEvent]:
    """Draw an event like others, of which a piece is left out and another one put in."""
    kind = draw(st.sampled_from(list(KINDS)))
    event = event_of(KINDS[kind](draw(st.text(max_size=5) | PIECES)))
    data = event.data
    if draw(st.booleans()):
        data = json.dumps(json.loads(data), ensure_ascii=False, separators=(",", ":"))
    start = draw(st.integers(0, len(data)))
    left_out = draw(st.integers(0, 5) | st.just(0))
    data = data[:start] + draw(PIECES) + data[start + left_out :]
    name = draw(st.sampled_from([event.event, event.event, "message", "done", "error"]))
    return kind, ChatEvent(name, data)


@examples(60, 20_000)
@given(changed())
def test_a_change_of_any_kind_is_seen(one: tuple[str, ChatEvent]) -> None:
    kind, event = one
    check(taught(KINDS[kind]), event)


VALUES = st.none() | st.text(max_size=5) | st.integers() | st.just("\ud800")
FUNCTIONS = st.fixed_dictionaries({}, optional={"name": VALUES, "arguments": VALUES})
CALLS = st.fixed_dictionaries({}, optional={"index": VALUES, "id": VALUES, "function": FUNCTIONS})
NESTED = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": VALUES}), max_size=2)
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": VALUES | NESTED,
        "role": st.sampled_from(["assistant", "user", "tool", None]),
        "type": st.sampled_from(["text", "tool", "thinking", 7]),
        **dict.fromkeys(("text", "reasoning_content", "reasoning"), VALUES),
        "delta": st.fixed_dictionaries({"content": VALUES}),
        "choices": st.just([{"delta": {"content": "Hi"}}]),
        "tool_calls": st.lists(CALLS, max_size=2) | VALUES,
    },
)


@examples(25, 5_000)
@given(st.lists(st.tuples(DELTAS, st.integers(1, 3)), max_size=5))
@example([({"content": "Hi"}, 3), ({"content": "Hi", "reasoning": "Hi"}, 3)])
def test_deltas_of_chance_are_read_as_each_alone(told: Iterable[tuple[Any, int]]) -> None:
    it = Reader()
    for one, times in told:
        for _ in range(times):
            check(it, event_of(chunk(one)))
