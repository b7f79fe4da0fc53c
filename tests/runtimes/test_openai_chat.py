"""OpenAI's chunks, and what OpenClaw, Hermes and other gateways make of them."""

from __future__ import annotations

from typing import Any

import pytest
from runtimes_tools import DONE, Said, body, known, read

from pytest_hydrasmoke._runtimes.meaning import Meaning


def chunk(delta: dict[str, object] | None = None, **choice: object) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, **choice}]}


def test_a_turn_has_its_finish_reason_and_then_its_end() -> None:
    assert read(body("openai-chat")) == Said(finish=("stop",))
    assert read(body("openai-chat") + DONE) == Said(finish=("stop",), ends=1)


def test_hermes_tells_its_tools_between_the_chunks() -> None:
    finish = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{}}\n\n'
    assert read(body("hermes-chat")) == Said()
    assert read(body("hermes-chat") + finish + DONE) == Said(finish=("stop",), ends=1)


def test_a_crash_of_hermes_is_an_error_and_then_its_usual_end() -> None:
    crash = (
        'data: {"choices":[{"index":0,"delta":{},"finish_reason":"error"}],'
        '"error":{"message":"HTTP 401: no credit","type":"agent_error"},'
        '"hermes":{"failed":true,"error":"HTTP 401: no credit","error_code":"agent_error"}}\n\n'
    )
    said = read(body("hermes-chat") + crash + DONE)
    assert said == Said(errors=("HTTP 401: no credit",), finish=("error",), ends=1)


@pytest.mark.parametrize("word", ["error", "Error", "failed", "cancelled", "canceled", "abort"])
def test_a_finish_that_is_a_failure_needs_no_message(word: str) -> None:
    found = known(chunk({}, finish_reason=word))
    assert found.error == f"it finished with {word!r}, and no message with it"
    assert (found.finish, found.end) == (word, False)


def test_an_error_of_the_chunk_goes_before_one_of_its_choice() -> None:
    told = {**chunk({}, error={"message": "not this"}), "error": {"message": "Overloaded"}}
    assert known(told) == Meaning(error="Overloaded", runtime="OpenAI chat")


def test_a_text_may_lie_deep_in_a_choice() -> None:
    def nested(times: int) -> Meaning:
        text: object = "x"
        for _ in range(times):
            text = [text]
        return known({"choices": [{"index": 0, "delta": text}]})

    assert nested(6).text == "x"
    assert nested(7).text == ""


def test_an_error_may_lie_in_the_choice() -> None:
    error = {"code": 502, "message": "Overloaded"}
    assert known(chunk({}, error=error, finish_reason="error")).error == "Overloaded"
    assert known({**chunk(), "error": True, "message": "Overloaded"}).error == "Overloaded"
    assert known({**chunk(), "error": True}).error == (
        "the agent reports an error, and no message with it"
    )


@pytest.mark.parametrize("word", ["length", "content_filter", "max_tokens", "incomplete"])
def test_a_reply_that_is_cut_short_is_no_failure(word: str) -> None:
    # As Hermes tells of a reply that met its limit.
    told = {**chunk({"content": "!"}, finish_reason=word), "error": {"message": "truncated"}}
    assert known(told) == Meaning("!", finish=word, runtime="OpenAI chat")


@pytest.mark.parametrize("choices", [[], [None, 7], ["once"], [{"index": 1, "delta": {}}]])
def test_a_chunk_without_a_first_choice_says_nothing(choices: list[object]) -> None:
    assert known({"choices": choices, "usage": {"total_tokens": 9}}) == Meaning(
        runtime="OpenAI chat"
    )


@pytest.mark.parametrize("choices", [None, "x", {}, 7])
def test_what_has_no_list_of_choices_is_no_chunk(choices: object) -> None:
    assert known({"choices": choices}) == Meaning()


def test_of_several_choices_the_first_one_counts() -> None:
    first = {"index": 0, "delta": {"content": "0"}, "finish_reason": "stop"}
    second: dict[str, object] = {"index": 1, "delta": {"content": "1"}, "finish_reason": None}
    both = Meaning("0", finish="stop", runtime="OpenAI chat")
    assert known({"choices": [first, second]}) == known({"choices": [second, first]}) == both
    assert known({"choices": [{**second, "finish_reason": "length"}]}) == Meaning(
        runtime="OpenAI chat"
    )


@pytest.mark.parametrize("word", [7, "", None, ["stop"], "two words", "x" * 65, "stop\n"])
def test_what_is_no_word_is_no_finish_reason(word: object) -> None:
    assert known(chunk({}, finish_reason=word)) == Meaning(runtime="OpenAI chat")


def test_reasoning_and_tools_are_no_text() -> None:
    function = {"name": "f", "arguments": "{}"}
    for delta in (
        {"reasoning_content": "Hm."},
        {"reasoning": "Hm.", "content": None},
        {"content": None, "tool_calls": [{"index": 0, "id": "t", "function": function}]},
        {"role": "tool", "content": "not this"},
        {"content": [{"type": "thinking", "text": "Hm."}]},
    ):
        assert known(chunk(delta, finish_reason=None)) == Meaning(runtime="OpenAI chat")
