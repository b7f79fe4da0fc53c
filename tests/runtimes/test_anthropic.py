"""Anthropic's messages."""

from __future__ import annotations

import pytest
from runtimes_tools import Said, body, known, read

from pytest_hydrasmoke._runtimes.meaning import Meaning

STOP = 'event: message_stop\ndata: {"type":"message_stop"}\n\n'
NOTHING = Meaning(runtime="Anthropic")


def test_a_turn_has_its_stop_reason_and_then_its_end() -> None:
    assert read(body("anthropic")) == Said(finish=("end_turn",))
    assert read(body("anthropic") + STOP) == Said(finish=("end_turn",), ends=1)


def test_an_error_has_its_own_words() -> None:
    error = (
        "event: error\n"
        'data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    )
    assert read(body("anthropic") + error).errors == ("Overloaded",)


def test_its_objects_are_known_without_the_events_names() -> None:
    delta = {"type": "text_delta", "text": "Hi"}
    told = {"type": "content_block_delta", "index": 0, "delta": delta}
    assert known(told) == Meaning("Hi", runtime="Anthropic")
    stop = Meaning(end=True, of_message=True, runtime="Anthropic")
    assert known({"type": "message_stop"}) == stop


@pytest.mark.parametrize(
    "delta",
    [
        None,
        "x",
        {"type": "text_delta"},
        {"type": "text_delta", "text": 7},
        {"type": "thinking_delta", "thinking": "Hm.", "text": "Hm."},
        {"type": "signature_delta", "signature": "x"},
        {"type": "input_json_delta", "partial_json": "{}"},
    ],
)
def test_other_deltas_say_nothing(delta: object) -> None:
    assert known({"type": "content_block_delta", "index": 0, "delta": delta}) == NOTHING


@pytest.mark.parametrize("delta", [None, {}, {"stop_reason": None}, {"stop_reason": 7}])
def test_a_message_may_go_on(delta: object) -> None:
    assert known({"type": "message_delta", "delta": delta}) == NOTHING


def test_blocks_begin_without_a_text() -> None:
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    assert known({"type": "content_block_start", "content_block": block}) == NOTHING
