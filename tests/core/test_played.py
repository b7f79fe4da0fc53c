"""What a recorded stream says is what the turn said."""

from __future__ import annotations

import json
from dataclasses import replace

from pytest_hydrasmoke._core.played import Said, played
from pytest_hydrasmoke._core.reading import Reading


def frame(delta: dict[str, object], **more: object) -> bytes:
    return f"data: {json.dumps({'choices': [{'delta': delta, **more}]})}\n\n".encode()


CALL = {"index": 0, "id": "1", "function": {"name": "find", "arguments": '{"a": 1}'}}


def test_text_tools_thoughts_and_finish_reason_are_read() -> None:
    stream = frame({"reasoning_content": "Well."}) + frame({"tool_calls": [CALL]})
    stream += frame({"content": "Found."}, finish_reason="stop") + b"data: [DONE]\n\n"
    assert played(stream, Reading()) == Said(
        "Found.", "find({'a': 1}) -> None", "Well.", "stop", ("OpenAI chat",)
    )


def test_a_stream_that_breaks_off_says_what_came_before() -> None:
    stream = frame({"content": "I am"}) + b'data: {"error": {"message": "no"}}\n\n'
    assert played(stream, Reading()).text == "I am"
    assert played(b"", Reading()) == Said("", "", "", None, ())


def test_the_digest_tells_runtimes_and_whether_there_is_reasoning() -> None:
    one = Said("Found.", "", "Well.", "stop", ("OpenAI chat",))
    same = replace(one, reasoning="Let me see.")
    others = [
        replace(one, reasoning=""),
        replace(one, runtimes=("Anthropic",)),
        replace(one, runtimes=()),
        replace(one, text="Lost."),
        replace(one, tools="find"),
        replace(one, finish_reason="length"),
    ]
    assert same.digest == one.digest
    assert len({it.digest for it in (one, *others)}) == 7
