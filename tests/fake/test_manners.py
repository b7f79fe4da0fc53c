"""A fake that replays recordings has the manners that their `router.json` tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recording_tools import says, write

from pytest_hydrasmoke.fake import Scenario
from pytest_hydrasmoke.fake.presets import load

HEAD = {"format": "pytest-hydrasmoke router", "version": 1}
Learned = Callable[[str], Scenario]


@pytest.fixture
def learned(tmp_path: Path) -> Learned:
    def learn(text: str) -> Scenario:
        file = tmp_path / "router.json"
        file.write_text(text)
        return load(str(tmp_path))

    write(tmp_path, "t.py::test", says("hello", "x"))
    return learn


AT_ONCE = {"row_after": 0.0, "cleanup_after": 0.0, "llm_events_lag": 0.0}
GONE = ["deleting", "deleted"]
FIRST: dict[str, list[Any]] = {
    "provision_status": [202, 200],
    "provision_instance_id": ["absent"],
    "poll_before_row": ["bare", "404"],
    "unauthorized_status": [403],
    "not_ready_status": [425],
    "runtime": ["anthropic"],
    "terminal": [False],
    "after_delete": ["404", "row"],
    "second_delete": [410],
}
EXTRA = [["zone", "string"], ["size", "object"], ["age", "null"]]
# What the router has answered, the first time first; and what a fake then does.
LEARNED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    # What takes time takes none. A second DELETE that was not refused succeeds.
    ({}, {**AT_ONCE, "statuses": ((0.0, "running"),), "second_delete": 200}),
    (FIRST, {name: given[0] for name, given in FIRST.items()}),
    (
        {"boot_words": ["Queued"], "ready_words": ["Up", "running"]},
        {"statuses": ((0.0, "Up"),), "ready_words": ("Up", "running")},
    ),
    ({"providers": ["b", "a"]}, {"providers": ("b", "a")}),
    (
        {"rate_limit": [429], "agent_fails": ["cut"], "newer": ["unknown"]},
        {"trouble": "none", "agent_dies": "never"},
    ),
    # A row that stays after the DELETE has its words.
    (
        {"after_delete": ["row"], "gone_words": ["over"]},
        {"gone_word": "over", "cleaned_word": None},
    ),
    (
        {"after_delete": ["row"], "gone_words": GONE},
        {"gone_word": "deleting", "cleaned_word": "deleted"},
    ),
    ({"after_delete": ["404"], "gone_words": GONE}, {"gone_word": "deleted", "cleaned_word": None}),
    ({"extra": EXTRA}, {"extra": {"zone": "", "size": {}, "age": None}}),
]


def test_the_first_answer_is_given(learned: Learned, tmp_path: Path) -> None:
    for answers, fields in LEARNED:
        scenario = learned(json.dumps({**HEAD, **answers}))
        assert {name: getattr(scenario, name) for name in fields} == fields
        assert {name: getattr(scenario, name) for name in AT_ONCE} == AT_ONCE
    # Without such a file, it is the simplest.
    (tmp_path / "router.json").unlink()
    assert load(str(tmp_path)).second_delete == 404


NOT_WRITTEN = "it is not what recording writes: record again, without it"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", NOT_WRITTEN),
        ('{"schema_version": 2}', NOT_WRITTEN),
        (json.dumps({**HEAD, "version": 2}), NOT_WRITTEN),
        ("{", "Expecting property name"),
        ("[" * 200_000, "it is nested too deeply"),
        (json.dumps({**HEAD, "terminal": 5}), "'int' object is not subscriptable"),
        (json.dumps({**HEAD, "terminal": {"a": 1}}), "0"),
        (json.dumps({**HEAD, "provision_status": [500]}), "provision_status is 500"),
    ],
)
def test_what_is_wrong_with_it_is_told(
    learned: Learned, tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(ValueError) as caught:
        learned(text)
    assert str(caught.value).startswith(str(tmp_path / "router.json"))
    assert words in str(caught.value)
