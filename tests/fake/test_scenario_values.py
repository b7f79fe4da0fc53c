"""What a scenario can hold: refused in words, or a value."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_tools import Caller, told

from pytest_hydrasmoke.fake import FakeRouter, Scenario

Calling = Callable[..., Caller]
SOMEBODY_ELSES = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
NOT_FOUND = (404, {"detail": "Instance not found"})


GOOD = Scenario()
BAD: list[tuple[dict[str, Any], str]] = [
    ({"recordings": "x"}, "recordings can't be set: give their folder as the scenario"),
    ({"provision_status": 204}, "provision_status is 204; it may be 200, 201 or 202"),
    ({"runtime": "gooses"}, "runtime is 'gooses' (did you mean goose?); it may be 'openai', "),
    ({"terminal": 1}, "terminal is 1; it should be a valid boolean"),
    ({"row_after": -1}, "row_after is -1; it should be greater than or equal to 0"),
    ({"row_after": True}, "row_after is True; it should be a valid number"),
    ({"event_pause": "1"}, "event_pause is '1'; it should be a valid number"),
    ({"llm_events_lag": math.nan}, "llm_events_lag is nan; it should be greater"),
    ({"statuses": ()}, "statuses must start at 0 s"),
    ({"statuses": ((1, "running"),)}, "statuses must start at 0 s"),
    ({"statuses": ((0, "a"), (2, "b"), (1, "c"))}, "must be in order of time, not [0.0, 2.0, 1.0]"),
    ({"statuses": ((0, 7),)}, "statuses[0][1] is 7; it should be a valid string"),
    ({"statuses": (("0", "a"),)}, "statuses[0][0] is '0'; it should be a valid number"),
    ({"statuses": ("running",)}, "statuses[0] is 'running'; it should be a valid list"),
    ({"ready_words": "running"}, "ready_words is 'running'; it should be a valid list"),
    ({"providers": []}, "providers is empty, but a turn leaves LLM events: name one"),
    ({"llm_events_per_turn": True}, "llm_events_per_turn is True; it should be a valid integer"),
    ({"reply": None}, "reply is None; it should be a valid string"),
    ({"reply": "\ud800"}, "reply has half a surrogate pair, which no stream can hold"),
    ({"reply": ["x"]}, "reply is a text, not a list (did you mean [[replies]]?)"),
    ({"replies": None}, "replies is None; it should be a valid list"),  # more: `test_replies.py`
    ({"quota": -1}, "quota is -1; it should be greater than or equal to 0"),
    ({"workers": 1.5}, "workers is 1.5; it should be a valid integer"),
    ({"cleaned_word": 1}, "cleaned_word is 1; it should be a valid string"),
    ({"trouble_every": 0}, "trouble_every is 0; it should be greater than or equal to 1"),
    (
        {"trouble_calls": ["chats"]},
        "trouble_calls[0] is 'chats' (did you mean chat?); it may be 'provision', 'poll', ",
    ),
    ({"agent_dies": True}, "agent_dies is True; it may be 'never', 'error', 'cut', 'end' or "),
    ({"reply": 1, "row_after": -1}, "to 0; reply is 1; it should be a valid string"),
    ({"row_afer": 1, "nothing": 2}, "unknown key row_afer (did you mean row_after?); unknown key "),
    ({"extra": [1]}, "extra is [1]; it should be a valid dictionary"),
    ({"extra": {1: 2}}, "extra[1] is 1; it should be a valid string"),
    ({"extra": {"a": {1}}}, "extra is no JSON: "),
    ({"extra": {"a": math.nan}}, "extra is no JSON: "),
    ({"gone_word": ["x" * 1000]}, "gone_word is ['" + "x" * 98 + "; it should be"),
]


def test_what_a_scenario_can_not_mean() -> None:
    for fields, message in BAD:
        with pytest.raises(ValueError, match=re.escape(message)):
            Scenario(**fields)


def test_a_scenario_is_a_value() -> None:
    assert Scenario() == GOOD
    assert {GOOD, Scenario(extra={"a": 1}), Scenario(extra={"a": 1})} == {
        GOOD,
        Scenario(extra={"a": 1}),
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        GOOD.reply = "other"  # type: ignore[misc]
    plain = json.loads(json.dumps(dataclasses.asdict(GOOD)))
    assert Scenario(**plain) == GOOD
    assert dataclasses.replace(GOOD, reply="other").reply == "other"
    given = {"a": 1}
    kept = Scenario(extra=given)
    given["b"] = 2
    assert kept.extra == {"a": 1}


def test_every_field_is_named_in_these_tests() -> None:
    here = "".join(it.read_text("utf-8") for it in Path(__file__).parent.glob("test_scenario*.py"))
    missing = [field.name for field in dataclasses.fields(Scenario) if field.name not in here]
    assert missing == []


def test_real_time_is_the_default() -> None:
    scenario = Scenario(row_after=0, statuses=((0, "running"),), event_pause=0.01, llm_events_lag=0)
    with FakeRouter(scenario) as router:
        caller = Caller(router)
        with caller.http:
            instance_id = caller.provision().json()["instance_id"]
            assert [event.data for event in told(caller, instance_id)][-1] == "[DONE]"
        assert router.llm_events[0].at <= router.clock.now()
