"""Any JSON in any known frame: nothing fails, and nothing speaks out of turn."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sizes import examples

from pytest_hydrasmoke._runtimes import ag_ui, ai_sdk, anthropic, goose, hermes
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._runtimes.meaning import Meaning
from pytest_hydrasmoke._runtimes.read import read
from pytest_hydrasmoke._sse.decoder import ChatEvent

KINDS = sorted(ag_ui.TYPES | ai_sdk.TYPES | anthropic.TYPES | goose.TYPES | hermes.NAMES)
KINDS += ["response.output_item.added", "response.function_call_arguments.done", "tool_use"]
NAMED = """
    choices delta tool_calls function arguments name id index usage message content item type
    toolCallId toolCallName toolName input output result tool tool_name args token_state
    toolCall value toolResult content_block partial_json reasoning call_id item_id status
"""
NAMES = st.sampled_from(NAMED.split())
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(KINDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner),
    max_leaves=20,
)
frames_of_chance = st.dictionaries(NAMES, json_values)


@examples(25, 2_000)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["message", "hermes.tool.progress", *KINDS]),
            frames_of_chance,
            st.sampled_from([None, *KINDS]),
            st.sampled_from([None, *sorted(hermes.RUN)]),
        ),
        max_size=6,
    )
)
def test_nothing_that_chance_sends_fails_or_calls_a_tool_without_a_name(events: Any) -> None:
    content = Content()
    for name, frame, kind, word in events:
        full = frame | ({} if kind is None else {"type": kind})
        full |= {} if word is None else {"event": word}
        content.add(read(ChatEvent(name, json.dumps(full))), 0.0)
    for it in content.tool_calls:
        assert it.name
        assert it.arguments is None or isinstance(it.arguments, dict)
    assert isinstance(content.reasoning("x"), str)
    assert content.held >= 0


KEYS = """
    type event delta content text message error errorText choices index finish_reason response
    status role metadata userVisible data code reason done stop_reason tool_calls
"""
WORDS = st.sampled_from(KEYS.split())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
FRAMES = st.dictionaries(WORDS, JSON, max_size=6)
RESPONSES = {"response.output_text.delta", "response.created", "response.completed", "response.x"}
TYPES = anthropic.TYPES | goose.TYPES | ag_ui.TYPES | ai_sdk.TYPES | RESPONSES | {"error", "data-x"}
SPEAK = {
    "content_block_delta",
    "Message",
    "TEXT_MESSAGE_CONTENT",
    "TEXT_MESSAGE_CHUNK",
    "text-delta",
    "response.output_text.delta",
    "message.delta",
    "assistant.delta",
}
"""The kinds that may have text: all others are silent."""


def checked(frame: Any, name: str) -> Meaning:
    found = read(ChatEvent(name, json.dumps(frame)))
    found.text.encode()
    assert found.error is None or found.error.encode()
    assert found.finish is None or found.finish.isascii()
    return found


@given(st.sampled_from(sorted(TYPES)), FRAMES, st.booleans())
def test_a_frame_of_a_type_never_raises_nor_speaks_out_of_turn(
    kind: str, frame: dict[str, object], named: bool
) -> None:
    found = checked({**frame, "type": kind}, kind if named else "message")
    assert kind in SPEAK or not found.text
    assert kind in SPEAK or kind in ("error", "finish") or found.runtime


@given(st.sampled_from(sorted(hermes.RUN | hermes.NAMES)), FRAMES, st.booleans())
def test_an_event_of_hermes_never_raises_nor_speaks_out_of_turn(
    kind: str, frame: dict[str, object], named: bool
) -> None:
    named = named or kind not in hermes.RUN
    if not named:
        frame = {name: value for name, value in frame.items() if name != "type"} | {"event": kind}
    assert kind in SPEAK or not checked(frame, kind if named else "message").text


@given(JSON, FRAMES, st.sampled_from(["message", "error", "done", "token", "thinking", "x"]))
def test_a_chunk_or_anything_else_never_raises(value: Any, frame: Any, name: str) -> None:
    checked(value, name)
    checked({**frame, "choices": value}, name)
    checked({"choices": [frame, value]}, name)
    assert name != "thinking" or not checked({**frame, "content": "x"}, name).text
