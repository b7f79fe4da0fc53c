"""Goose's messages."""

from __future__ import annotations

from typing import Any

import pytest
from runtimes_tools import Said, body, known, of, read

from pytest_hydrasmoke._runtimes.meaning import Meaning

FINISH = 'data: {"type":"Finish","reason":"stop","token_state":{"inputTokens":9}}\n\n'


def message(*content: object, **more: object) -> Meaning:
    told: dict[str, Any] = {"id": "m", "role": "assistant", "content": list(content), **more}
    return known({"type": "Message", "message": told})


def test_a_turn() -> None:
    assert read(body("goose")) == Said()
    assert read(body("goose") + FINISH) == Said(ends=1, finish=("stop",))


def test_pieces_under_one_id_follow_each_other() -> None:
    pieces = [message({"type": "text", "text": text}) for text in ("Hel", "lo")]
    assert [it.text for it in pieces] == ["Hel", "lo"]


def test_what_the_user_is_not_to_see_is_no_text() -> None:
    said = {"type": "text", "text": "x"}
    assert message(said, metadata={"userVisible": False}) == Meaning(runtime="Goose")
    assert message(said, metadata={"userVisible": True}).text == "x"
    assert message(said, metadata=None).text == "x"
    assert message(said, role="user").text == ""


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ({"error": "no credit"}, "no credit"),
        ({"message": "no credit"}, "no credit"),
        ({}, "the agent reports an error, and no message with it"),
    ],
)
def test_an_error(frame: dict[str, str], error: str) -> None:
    assert known({"type": "Error", **frame}) == Meaning(error=error, runtime="Goose")


@pytest.mark.parametrize("kind", ["Ping", "ModelChange", "Notification", "UpdateConversation"])
def test_other_kinds_say_nothing(kind: str) -> None:
    told = {"type": kind, "message": {"role": "assistant", "content": "x"}, "text": "x"}
    assert known(told) == Meaning(runtime="Goose")


def test_a_message_of_another_runtime() -> None:
    assert known({"type": "Message", "content": "Hi"}) == Meaning("Hi")
    assert of({"type": "Message", "message": "Hi"}) == Meaning("Hi")
