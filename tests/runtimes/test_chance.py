"""Any JSON in any known frame: nothing fails, speaks out of turn, or calls a nameless tool."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from runtimes_tools import event_of
from sizes import examples

from pytest_hydrasmoke._runtimes import ag_ui, ai_sdk, anthropic, goose, hermes
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._runtimes.read import read

RESPONSES = "output_text.delta created completed output_item.added function_call_arguments.done x"
TYPES = ag_ui.TYPES | ai_sdk.TYPES | anthropic.TYPES | goose.TYPES | {"data-x"}
TYPES |= {f"response.{it}" for it in RESPONSES.split()}
KINDS = sorted(TYPES | hermes.RUN | hermes.NAMES | {"message", "error", "token", "thinking"})
SPEAK = {"content_block_delta", "Message", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CHUNK"}
SPEAK |= {"text-delta", "response.output_text.delta", "message.delta", "assistant.delta"}
"""The kinds that may have text: all others are silent."""
SHARED = SPEAK | {"error", "start", "finish", hermes.PROGRESS}
"""Those that need not be one runtime's."""
KEYS = """
    type event choices delta content text message error errorText index finish_reason response
    tool_calls function arguments name id usage item role metadata userVisible data code reason done
    toolCallId toolCallName toolName input output result tool tool_name args token_state status
    toolCall value toolResult content_block partial_json reasoning call_id item_id stop_reason
"""
WORDS = st.sampled_from(KEYS.split())
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
FRAMES = st.dictionaries(WORDS, JSON, max_size=6)
CHUNKS = st.builds(lambda one, other: {"choices": [one, other]}, FRAMES, JSON)
EVENTS = st.one_of(
    st.tuples(st.sampled_from(KINDS), st.booleans(), FRAMES),
    st.tuples(st.sampled_from(["message", "error", "done", "thinking"]), st.just(True), CHUNKS),
)


@examples(25, 10_000)
@given(st.lists(EVENTS, max_size=6))
def test_whatever_is_sent_nothing_fails_or_speaks_out_of_turn(events: list[Any]) -> None:
    content = Content()
    for kind, named, frame in events:
        if kind in hermes.RUN and not named:
            told = {**frame, "type": 7, "event": kind}
        else:
            told = {**frame, "type": kind} if kind in TYPES else frame
        found = read(event_of((kind if named else "message", told)))
        content.add(found, 0.0)
        found.text.encode()
        assert found.error is None or found.error.encode()
        assert found.finish is None or found.finish.isascii()
        known = kind in TYPES or (named and kind in hermes.NAMES) or kind in hermes.RUN
        assert kind in SPEAK or not known or not found.text
        assert kind in SHARED or not known or found.runtime
        assert kind != "thinking" or not found.text
    assert all(it.name for it in content.tool_calls)
    assert all(it.arguments is None or type(it.arguments) is dict for it in content.tool_calls)
    assert isinstance(content.reasoning("x"), str)
    assert content.held >= 0
