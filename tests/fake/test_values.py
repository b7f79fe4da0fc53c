"""What a scenario, a reply or a fault can hold: refused in words, or a value."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_hydrasmoke.fake import FakeRouter, Scenario

GOOD = Scenario()
WEATHER = {"match": "(?i)weather", "text": "It is cold."}
ORDER = ((0, "a"), (2, "b"), (1, "c"))


def weather(**more: Any) -> dict[str, Any]:
    return {"replies": [{**WEATHER, **more}]}


def tool(**fields: Any) -> dict[str, Any]:
    return weather(tool_calls=[fields])


SCENARIO: list[tuple[dict[str, Any], str]] = [
    ({"recordings": "x"}, "recordings can't be set: give their folder as the scenario"),
    ({"provision_status": 204}, "provision_status is 204; it may be 200, 201 or 202"),
    ({"runtime": "gooses"}, "runtime is 'gooses' (did you mean goose?); it may be 'openai', "),
    ({"terminal": 1}, "terminal is 1; it should be a valid boolean"),
    ({"row_after": -1}, "row_after is -1; it should be greater than or equal to 0"),
    ({"row_after": True}, "row_after is True; it should be a valid number"),
    ({"event_pause": "1"}, "event_pause is '1'; it should be a valid number"),
    ({"llm_events_lag": math.nan}, "llm_events_lag is nan; it should be greater"),
    ({"statuses": ()}, "statuses must start at 0 s: an instance always has a status"),
    ({"statuses": ((1, "running"),)}, "statuses must start at 0 s"),
    ({"statuses": ORDER}, "statuses must be in order of time, not [0.0, 2.0, 1.0]"),
    ({"statuses": ((0, 7),)}, "statuses[0][1] is 7; it should be a valid string"),
    ({"statuses": ("running",)}, "statuses[0] is 'running'; it should be a valid list"),
    ({"ready_words": "running"}, "ready_words is 'running'; it should be a valid list"),
    ({"providers": []}, "providers is empty, but a turn leaves LLM events: name one"),
    ({"llm_events_per_turn": True}, "llm_events_per_turn is True; it should be a valid integer"),
    ({"reply": None}, "reply is None; it should be a valid string"),
    ({"reply": "\ud800"}, "reply has half a surrogate pair, which no stream can hold"),
    ({"reply": ["x"]}, "reply is a text, not a list (did you mean [[replies]]?)"),
    ({"quota": -1}, "quota is -1; it should be greater than or equal to 0"),
    ({"cleaned_word": 1}, "cleaned_word is 1; it should be a valid string"),
    ({"trouble_every": 0}, "trouble_every is 0; it should be greater than or equal to 1"),
    ({"trouble_calls": ["chats"]}, "trouble_calls[0] is 'chats' (did you mean chat?); it may be "),
    ({"agent_dies": True}, "agent_dies is True; it may be 'never', 'error', 'cut', 'end' or "),
    (
        {"reply": 1, "row_after": -1},
        "row_after is -1; it should be greater than or equal to 0; reply is 1; it should be a ",
    ),
    ({"row_afer": 1, "x": 2}, "unknown key row_afer (did you mean row_after?); unknown key x"),
    ({"gone_word": ["x" * 1000]}, "gone_word is ['" + "x" * 98 + "; it should be"),
    ({"replies": None}, "replies is None; it should be a valid list"),
    ({"replies": {"match": ""}}, "replies is {'match': ''}; it should be a valid list"),
    ({"replies": ["hello"]}, "replies[0] is 'hello'; it should be a dictionary"),
    ({"replies": [WEATHER, {"text": "x"}]}, "replies[1].match is missing"),
    (weather(tools=1), "unknown key replies[0].tools (did you mean tool_calls?)"),
    ({"replies": [{**WEATHER, 7: 1}]}, "replies[0][7] is 7; Keys should be strings"),
    (weather(match=7), "replies[0].match is 7; it should be a valid pattern"),
    (weather(match="(x"), "replies[0].match is no regular expression: missing ), unterminated "),
    (weather(text=7), "replies[0].text is a text, or a list of one or more, not 7"),
    (weather(text=[]), "replies[0].text is a text, or a list of one or more, not []"),
    (weather(text=["a", 7]), "replies[0].text[1] is 7; it should be a valid string"),
    (weather(text="\ud800"), "replies[0].text[0] has half a surrogate pair"),
    (weather(reasoning=None), "replies[0].reasoning is None; it should be a valid string"),
    (weather(tool_calls={}), "replies[0].tool_calls is {}; it should be a valid list"),
    (tool(), "replies[0].tool_calls[0].name is missing"),
    (tool(name=""), "replies[0].tool_calls[0].name is empty: a tool has a name"),
    (
        tool(name="x", args={}),
        "unknown key replies[0].tool_calls[0].args (did you mean arguments?)",
    ),
    (tool(name="x", arguments=[1]), "replies[0].tool_calls[0].arguments is [1]; it should be a "),
    (tool(name="x", arguments={"a": {1}}), "replies[0].tool_calls[0].arguments is no JSON: "),
    (tool(name="x", arguments={"a": math.nan}), "replies[0].tool_calls[0].arguments is no JSON: "),
    (tool(name="x", result=math.nan), "replies[0].tool_calls[0].result is no JSON: "),
    (tool(name="x", result="\udfff"), "replies[0].tool_calls[0].result has half a surrogate "),
]
POLL = {"route": "poll"}
# What a fake router can't be told, by the method.
ORDERS: list[tuple[str, dict[str, Any], str]] = [
    ("fail", {"route": "polls"}, "route is 'polls' (did you mean poll?); it may be 'provision', "),
    ("fail", {**POLL, "when": "now"}, "when is 'now'; it may be 'before' or 'after'"),
    ("fail", {**POLL, "status": 600}, "status is 600; it should be less than or equal to 599"),
    ("fail", {**POLL, "times": 0}, "times is 0; it should be greater than or equal to 1"),
    ("fail", {**POLL, "retry_after": -1}, "retry_after is a whole number of seconds, or an HTTP "),
    ("fail", {**POLL, "retry_after": "a\nb"}, "retry_after is a whole number of seconds, or an "),
    ("fail", {**POLL, "retry_after": " 5"}, "retry_after is a whole number of seconds, or an "),
    ("fail", {**POLL, "retry_after": "é"}, "retry_after is a whole number of seconds, or an "),
    ("fail", {**POLL, "body": {"a": math.nan}}, "body is no JSON: "),
    ("drop", {"route": []}, "route is []; it may be 'provision'"),
    ("drop", {**POLL, "after": -1}, "after is -1; it should be greater than or equal to 0"),
    ("break_stream", {"kind": "snap"}, "kind is 'snap'; it may be 'cut', 'end', 'stall'"),
    ("break_stream", {"kind": "cut", "split_at": [1]}, "split_at is for kind 'split', not 'cut'"),
    ("break_stream", {"kind": "split", "split_at": [0]}, "split_at[0] is 0; it should be greater "),
    ("break_stream", {"kind": "split", "split_at": 5}, "split_at is 5; it should be a valid list"),
    ("reply", {"match": "[", "text": "x"}, "match is no regular expression: unterminated "),
    ("reply", {**WEATHER, "tool_calls": "look"}, "tool_calls is 'look'; it should be a valid list"),
]
TOKENS = [{"token": it} for it in ("", "two words", "ümlaut", "line\n")]
ROUTERS: list[tuple[dict[str, Any], str]] = [
    *((it, "a token is printable ASCII without spaces, and not empty") for it in TOKENS),
    ({"port": -1}, "there is no port -1: give 1 to 65535, or 0 for any that is free"),
    ({"port": 65536}, "there is no port 65536: give 1 to 65535, or 0 for any that is free"),
]
BAD: list[tuple[Callable[..., object], dict[str, Any], str]] = [
    *((Scenario, fields, words) for fields, words in SCENARIO),
    *((getattr(FakeRouter(), name), fields, words) for name, fields, words in ORDERS),
    *((FakeRouter, fields, words) for fields, words in ROUTERS),
]


@pytest.mark.parametrize(
    "kind", ["Scenario", "FakeRouter", "fail", "drop", "break_stream", "reply"]
)
def test_what_can_not_be_meant(kind: str) -> None:
    rows = [row for row in BAD if row[0].__name__ == kind]
    assert rows
    for make, fields, words in rows:
        with pytest.raises(ValueError) as caught:
            make(**fields)
        assert str(caught.value).startswith(words)


def test_a_scenario_is_a_value() -> None:
    assert Scenario() == GOOD
    assert len({GOOD, Scenario(reply="a"), Scenario(reply="a")}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        GOOD.reply = "other"  # type: ignore[misc]
    plain = json.loads(json.dumps(dataclasses.asdict(GOOD)))
    assert Scenario(**plain) == GOOD
    assert dataclasses.replace(GOOD, reply="other").reply == "other"
    # What was given can't be changed afterwards.
    call: dict[str, Any] = {"name": "look", "arguments": {}}
    reply: dict[str, Any] = {"match": "", "text": ["x"], "tool_calls": [call]}
    kept = Scenario(replies=[reply])
    expected = json.loads(json.dumps([reply]))
    call["name"], reply["match"] = "other", "("
    assert [*kept.replies] == expected
    assert kept == Scenario(replies=expected)
    assert {kept}


def test_every_field_is_named_in_these_tests() -> None:
    names = ("test_scenario", "test_turns", "test_values")
    here = "".join(Path(__file__).with_name(f"{name}.py").read_text("utf-8") for name in names)
    missing = [it.name for it in dataclasses.fields(Scenario) if it.name not in here]
    assert missing == []
