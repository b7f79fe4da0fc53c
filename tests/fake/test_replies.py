"""Scripted replies: which message gets which, and in which order."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_tools import Caller, HandClock
from httpx_sse import EventSource

from pytest_hydrasmoke.fake import FakeRouter, Scenario

Calling = Callable[..., Caller]
WEATHER = {"match": "(?i)weather", "text": "It is cold."}
TWICE = {"match": "hello", "text": ["Hello.", "Hello again."]}


def asks(caller: Caller, instance_id: str, message: str) -> str:
    events = EventSource(caller.chat(instance_id, message)).iter_sse()
    return "".join(event.data for event in events if event.data != "[DONE]")


def test_the_first_that_matches_answers_else_the_reply(calling: Calling, clock: HandClock) -> None:
    last = {"match": "cold|weather", "text": "Never."}
    caller = calling(runtime="text", reply="What?", replies=[WEATHER, last])
    instance_id = caller.ready(clock)
    asked = ["How is the Weather?", "cold", "weather", ""]
    assert [asks(caller, instance_id, it) for it in asked] == [
        "It is cold.",
        "Never.",
        "It is cold.",
        "What?",
    ]


def test_each_instance_goes_through_the_texts_by_itself(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="text", replies=(TWICE,))
    one, two = caller.ready(clock), caller.ready(clock, "key-1")
    said = [asks(caller, it, "hello") for it in (one, one, two, one, two)]
    assert said == ["Hello.", "Hello again.", "Hello.", "Hello.", "Hello again."]


def test_what_a_test_adds_comes_first_until_it_is_reset(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="text", replies=[TWICE])
    instance_id = caller.ready(clock)
    caller.router.reply("hell", "Added.")
    caller.router.reply("hello", "Added later.")
    assert asks(caller, instance_id, "hello") == "Added."
    caller.router.reply("hell", "In its place.")
    assert asks(caller, instance_id, "hello") == "In its place."
    caller.router.reset()
    instance_id = caller.ready(clock)
    assert asks(caller, instance_id, "hello") == "Hello."


def test_tools_and_reasoning_are_in_the_runtimes_words(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="goose")
    instance_id = caller.ready(clock)
    call = {"name": "look", "arguments": {"city": "Oslo"}, "result": "cold"}
    caller.router.reply("", ["It is cold."], tool_calls=[call], reasoning="Hm.")
    events = EventSource(caller.chat(instance_id)).iter_sse()
    contents = [it.json().get("message", {"content": [{}]})["content"][0] for it in events]
    assert [it.get("type") for it in contents] == [
        *(None, "thinking", "thinking", "toolRequest", "toolResponse"),
        *("text", "text", "text", "text", None),
    ]


def test_a_scripted_stream_breaks_and_takes_its_time(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="text", replies=[TWICE], first_event_after=5, event_pause=10)
    instance_id = caller.ready(clock)
    caller.router.break_stream("end", after_events=1)
    with caller.http.stream(
        "POST", f"/instances/{instance_id}/chat", json={"message": "hello"}
    ) as answer:
        clock.pass_by(5)
        assert [event.data for event in EventSource(answer).iter_sse()] == ["Hello"]
    # It was accepted, and so it was a turn.
    with caller.http.stream(
        "POST", f"/instances/{instance_id}/chat", json={"message": "hello"}
    ) as answer:
        clock.pass_by(100)
        said = [event.data for event in EventSource(answer).iter_sse()]
    assert said == ["Hello", " again", ".", "[DONE]"]


def test_a_chat_that_is_not_accepted_is_no_turn(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="text", replies=[TWICE], row_after=0)
    caller.provision()
    instance_id = caller.router.instances[0].id
    assert caller.chat(instance_id, "hello").status_code == 409
    clock.pass_by(60)
    caller.router.fail("chat")
    assert caller.chat(instance_id, "hello").status_code == 503
    assert asks(caller, instance_id, "hello") == "Hello."


def test_replies_of_a_file(tmp_path: Path, calling: Calling, clock: HandClock) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(
        'runtime = "ag-ui"\n[[replies]]\nmatch = "weather"\ntext = ["Cold.", "Warm."]\n'
        'reasoning = "Hm."\n[[replies.tool_calls]]\nname = "look"\narguments = { city = "Oslo" }\n'
    )
    assert FakeRouter(str(file)).scenario == Scenario(
        runtime="ag-ui",
        replies=[
            {
                "match": "weather",
                "text": ["Cold.", "Warm."],
                "reasoning": "Hm.",
                "tool_calls": [{"name": "look", "arguments": {"city": "Oslo"}}],
            }
        ],
    )


def test_what_was_given_can_not_be_changed_afterwards() -> None:
    call: dict[str, Any] = {"name": "look", "arguments": {}}
    reply: dict[str, Any] = {"match": "", "text": ["x"], "tool_calls": [call]}
    scenario = Scenario(replies=[reply])
    call["name"], reply["match"] = "other", "("
    assert scenario == Scenario(
        replies=({"match": "", "text": ["x"], "tool_calls": [{"name": "look", "arguments": {}}]},)
    )
    assert {scenario}


def with_tool(**tool: Any) -> dict[str, Any]:
    return {"match": "", "text": "", "tool_calls": [tool]}


BAD: list[tuple[Any, str]] = [
    ("hello", "replies is 'hello'; it should be a valid list"),
    ({"match": ""}, "replies is {'match': ''}; it should be a valid list"),
    (["hello"], "replies[0] is 'hello'; it should be a dictionary"),
    ([WEATHER, {"text": "x"}], "replies[1].match is missing"),
    ([{"match": "x"}], "replies[0].text is missing"),
    ([{**WEATHER, "tools": 1}], "unknown key replies[0].tools (did you mean tool_calls?)"),
    ([{**WEATHER, 7: 1}], "replies[0][7] is 7; Keys should be strings"),
    ([{**WEATHER, "match": 7}], "replies[0].match is 7; it should be a valid pattern"),
    ([{**WEATHER, "match": "(x"}], "replies[0].match is no regular expression: missing ), "),
    ([{**WEATHER, "text": 7}], "replies[0].text is a text, or a list of one or more, not 7"),
    ([{**WEATHER, "text": []}], "replies[0].text is a text, or a list of one or more, not []"),
    ([{**WEATHER, "text": ["a", 7]}], "replies[0].text[1] is 7; it should be a valid string"),
    ([{**WEATHER, "text": "\ud800"}], "replies[0].text[0] has half a surrogate pair"),
    ([{**WEATHER, "reasoning": None}], "replies[0].reasoning is None; it should be a valid string"),
    ([{**WEATHER, "tool_calls": {}}], "replies[0].tool_calls is {}; it should be a valid list"),
    ([with_tool()], "replies[0].tool_calls[0].name is missing"),
    ([with_tool(name="")], "replies[0].tool_calls[0].name is empty: a tool has a name"),
    ([with_tool(name="x", args={})], "tool_calls[0].args (did you mean arguments?)"),
    ([with_tool(name="x", arguments=[])], "arguments is []; it should be a valid dictionary"),
    ([with_tool(name="x", arguments={"a": {1}})], "tool_calls[0].arguments is no JSON: "),
    ([with_tool(name="x", result=float("nan"))], "tool_calls[0].result is no JSON: "),
    ([with_tool(name="x", result="\udfff")], "tool_calls[0].result has half a surrogate pair"),
]


def test_what_a_reply_can_not_be() -> None:
    for replies, message in BAD:
        with pytest.raises(ValueError, match=re.escape(message)):
            Scenario(replies=replies)


def test_what_a_test_can_not_add() -> None:
    router = FakeRouter()
    with pytest.raises(ValueError, match=r"^match is no regular expression: "):
        router.reply("[", "x")
    with pytest.raises(ValueError, match=r"^tool_calls is 'look'; it should be a valid list"):
        router.reply("x", "x", tool_calls="look")  # type: ignore[arg-type]
