"""Which models a stream names, and which of its tokens were cached or spent on reasoning."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts_tools import chunk, content_of, typed
from runtimes_tools import read_one

from pytest_hydrasmoke._core.incoming import MOST_MODELS, Incoming
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._runtimes.content import TokenUsage

CLAUDE = "claude-sonnet-4-6"

NAMING = {
    "OpenAI chat": chunk({"content": "x"}, model=CLAUDE),
    "an error": chunk({}, model=CLAUDE, error={"message": "Overloaded"}),
    "OpenAI Responses": typed("response.created", response={"model": CLAUDE}),
    "its end": typed("response.completed", response={"model": CLAUDE, "output": []}),
    "Anthropic": typed("message_start", message={"model": CLAUDE, "usage": {}}),
    "Goose": typed("ModelChange", model=CLAUDE, mode="auto"),
    "AG-UI": typed("RUN_FINISHED", usage=[{"model": CLAUDE}, {"model": CLAUDE}]),
    "a cancelled run": typed(
        "RUN_FINISHED", usage=[{"model": CLAUDE}], outcome={"type": "cancelled"}
    ),
    "AI SDK": typed("start", messageMetadata={"model": CLAUDE}),
    "its metadata": typed("message-metadata", messageMetadata={"modelId": CLAUDE}),
    "its finish": typed("finish", messageMetadata={"model": CLAUDE}),
    "other objects": {"model": CLAUDE, "message": {"role": "assistant", "content": "x"}},
}


@pytest.mark.parametrize("frame", NAMING.values(), ids=NAMING)
def test_a_model_is_named(frame: dict[str, Any]) -> None:
    assert read_one(frame).models == (CLAUDE,)


@pytest.mark.parametrize(
    "frame",
    [
        typed("tool_result", model="Tesla", content="x"),
        typed("data-car", model="Tesla"),
        typed("TOOL_CALL_RESULT", toolCallId="c", content={"model": "Tesla"}),
        typed("response.output_item.added", item={"model": "Tesla"}),
        typed("start", model="Tesla"),
        {"car": {"model": "Tesla"}},
    ],
)
def test_what_an_agent_talks_of_is_no_model(frame: dict[str, Any]) -> None:
    assert read_one(frame).models == ()


@pytest.mark.parametrize("name", ["", None, 4, ["a"], "a\nb", "\ud800", "x" * 129])
def test_what_can_be_no_name_is_none(name: object) -> None:
    assert read_one(chunk({"content": "x"}, model=name)).models == ()


def incoming(*names: str) -> Incoming:
    came = Incoming(Reading(), "auto")
    for name in names:
        event = f'{{"model": "{name}", "choices": [{{"delta": {{"content": "x"}}}}]}}'
        came.feed(f"data: {event}\n\n".encode(), 0.0)
        while came.take() is not None:
            pass
    return came


names = st.text(string.ascii_letters + string.digits + "-./:", min_size=1, max_size=5)


@given(st.lists(names, max_size=60))
def test_each_model_of_a_turn_is_kept_once_in_its_order(named: list[str]) -> None:
    # Also where events are handed out unread, since they differ in their texts alone.
    assert incoming(*named).models == [*dict.fromkeys(named)][:MOST_MODELS]


DETAILS = {
    "OpenAI chat": {
        "choices": [],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    },
    "OpenAI Responses": typed(
        "response.completed",
        response={
            "usage": {
                "input_tokens": 9,
                "output_tokens": 5,
                "input_tokens_details": {"cached_tokens": 4},
                "output_tokens_details": {"reasoning_tokens": 3},
            }
        },
    ),
    "AG-UI": typed(
        "RUN_FINISHED",
        usage=[
            {"inputTokens": 6, "outputTokens": 4, "cachedInputTokens": 4},
            {"inputTokens": 3, "outputTokens": 1, "reasoningTokens": 3},
        ],
    ),
    "AI SDK": typed(
        "finish",
        messageMetadata={
            "usage": {
                "inputTokens": 9,
                "outputTokens": 5,
                "cachedInputTokens": 4,
                "reasoningTokens": 3,
            }
        },
    ),
    "its later releases": typed(
        "finish",
        messageMetadata={
            "usage": {
                "inputTokens": 9,
                "outputTokens": 5,
                "inputTokenDetails": {"cacheReadTokens": 4},
                "outputTokenDetails": {"reasoningTokens": 3},
            }
        },
    ),
}


@pytest.mark.parametrize("frame", DETAILS.values(), ids=DETAILS)
def test_cached_tokens_and_those_of_reasoning(frame: dict[str, Any]) -> None:
    assert content_of([frame]).usage == TokenUsage(9, 5, 4, 3)


def test_anthropic_tells_what_was_read_from_its_cache_of_each_message() -> None:
    frames = [
        typed("message_start", message={"usage": {"input_tokens": 2, **cached}})
        for cached in ({"cache_read_input_tokens": 7}, {}, {"cache_read_input_tokens": 1})
    ]
    ends = typed("message_delta", delta={}, usage={"output_tokens": 3})
    told = content_of([part for frame in frames for part in (frame, ends)])
    assert told.usage == TokenUsage(6, 9, 8, None)


@pytest.mark.parametrize("details", [None, {}, {"cached_tokens": None}, 3, [4]])
def test_what_is_not_told_is_not_zero(details: object) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": details}
    assert content_of([{"choices": [], "usage": usage}]).usage == TokenUsage(9, 5, None, None)
