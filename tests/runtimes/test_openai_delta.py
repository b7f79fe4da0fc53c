"""Chunks that go on are read by their delta alone, and mean what they mean if all is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_hydrasmoke._runtimes.openai_delta import delta_of
from pytest_hydrasmoke._runtimes.registry import meaning, parts
from pytest_hydrasmoke._sse.decoder import ChatEvent

HEAD = '{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m",'
HI: dict[str, Any] = {"content": "Hi"}


def chunk(delta: Any = HI, **choice: Any) -> dict[str, Any]:
    return {"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": None, **choice}]}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("delta", [HI, {}, {"tool_calls": []}, {"content": 'a "delta": b'}])
def test_a_chunk_that_goes_on_is_known(delta: Any, separators: tuple[str, str]) -> None:
    for told in (chunk(delta), {"usage": None, **chunk(delta, logprobs=None)}):
        assert delta_of(json.dumps(told, separators=separators)) == delta
    without_index = {"choices": [{"delta": delta}]}
    assert delta_of(json.dumps(without_index, separators=separators)) == delta


def dumped(**fields: Any) -> str:
    return json.dumps({**chunk(), **fields})


OTHERS = {
    "no chunk": '{"delta":{"content":"Hi"}}',
    "no object": '["delta":{}]',
    "a list": '[{"delta":{}}]',
    "no delta": HEAD + '"choices":[]}',
    "no JSON": HEAD + '"choices":[{"delta":{"content":"Hi"}}',
    "a delta that breaks off": HEAD + '"choices":[{"delta":{"content":"Hi',
    "a delta that is a text": json.dumps(chunk("Hi")),
    "a delta that is deep": HEAD + '"choices":[{"delta":' + "[" * 3000,
    "a frame that is deep": HEAD + '"choices":[{"delta":{}}],"x":' + "[" * 3000,
    "a long one": json.dumps(chunk({"content": "x" * 4096})),
    "a reason": json.dumps(chunk(finish_reason="stop")),
    "another choice": json.dumps(chunk(index=1)),
    "two choices": json.dumps({"choices": chunk()["choices"] * 2}),
    "no choice": dumped(choices=[], x={"delta": {}}),
    "a choice that is none": dumped(choices=["x"], x={"delta": {}}),
    "choices that are none": dumped(choices={}, x={"delta": {}}),
    "a choice of somebody else": json.dumps(chunk(role="user")),
    "usage": dumped(usage={"prompt_tokens": 7}),
    "an error": dumped(error=None),
    "a type": dumped(type="x"),
    "an event": dumped(event="x"),
    "two deltas": HEAD + '"choices":[{"delta":{"content":"no"},"delta":{"content":"Hi"}}]}',
    "a delta elsewhere": HEAD + '"x":{"delta":{}},"choices":[{"delta":{"content":"Hi"}}]}',
}


@pytest.mark.parametrize("what", OTHERS)
def test_whatever_else_there_is_all_of_it_is_read(what: str) -> None:
    assert delta_of(OTHERS[what]) is None


def test_of_two_deltas_the_last_one_counts() -> None:
    for what in ("two deltas", "a delta elsewhere"):
        assert meaning(ChatEvent("message", OTHERS[what], "", None, 0.0)).text == "Hi"


def test_an_event_with_a_name_is_not_asked_for_its_delta() -> None:
    assert meaning(ChatEvent("thinking", json.dumps(chunk()), "", None, 0.0)).text == ""


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
        "text": VALUES,
        "delta": st.fixed_dictionaries({"content": VALUES}),
        "choices": st.just([{"delta": HI}]),
        "reasoning_content": VALUES,
        "reasoning": VALUES,
        "tool_calls": st.lists(CALLS, max_size=2) | VALUES,
    },
)


def nested(depth: int) -> dict[str, Any]:
    content: Any = "Hi"
    for _ in range(depth):
        content = [content]
    return {"content": content}


@given(DELTAS | st.builds(nested, st.integers(0, 9)))
@example({"content": [{"type": "text", "text": "Hi"}]})
@example(nested(5))
@example(nested(6))
def test_a_delta_means_what_it_means_in_its_frame(delta: dict[str, Any]) -> None:
    whole = chunk(delta)
    alone, all_read = (
        ChatEvent("message", json.dumps(told), "", None, 0.0)
        for told in (whole, {**whole, "error": None})
    )
    assert delta_of(alone.data) == delta
    assert delta_of(all_read.data) is None
    assert meaning(alone) == meaning(all_read)
    assert list(parts(alone)) == list(parts(all_read))
