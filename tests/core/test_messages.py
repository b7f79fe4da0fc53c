"""A turn as the messages of a conversation."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_hydrasmoke import ToolCall
from pytest_hydrasmoke._core.messages import messages_of

ASKED = {"role": "user", "content": "How cold is it?"}


def call(name: str, call_id: str | None, arguments: Any, result: object) -> ToolCall:
    return ToolCall(name, arguments, call_id, result, 0.0)


def made(call_id: str, name: str, arguments: str) -> dict[str, object]:
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


@pytest.mark.parametrize("text", ["It is cold.", ""])
def test_without_tools_there_is_one_answer(text: str) -> None:
    assert messages_of("How cold is it?", text, []) == [
        ASKED,
        {"role": "assistant", "content": text},
    ]


def test_calls_stand_where_they_were_made_and_each_has_its_result() -> None:
    placed = [
        (call("look", "a", {"city": "Tromsø"}, {"t": -3}), 9),
        (call("look", None, None, None), 9),
        (call("wait", "b", {}, "done"), 9 + 6),
    ]
    assert messages_of("How cold is it?", "Let me see. Hm ...It is cold.", placed) == [
        ASKED,
        {
            "role": "assistant",
            "content": "Let me se",
            "tool_calls": [
                made("a", "look", '{"city": "Tromsø"}'),
                made("call_2", "look", "{}"),
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": '{"t": -3}'},
        {"role": "tool", "tool_call_id": "call_2", "content": ""},
        {
            "role": "assistant",
            "content": "e. Hm ",
            "tool_calls": [made("b", "wait", "{}")],
        },
        {"role": "tool", "tool_call_id": "b", "content": "done"},
        {"role": "assistant", "content": "...It is cold."},
    ]


def test_an_agent_that_ends_with_a_call_says_no_more() -> None:
    found = messages_of("How cold is it?", "", [(call("look", "a", {}, "x"), 0)])
    assert [it["role"] for it in found] == ["user", "assistant", "tool"]
    assert found[1]["content"] is None
