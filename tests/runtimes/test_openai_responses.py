"""OpenAI's Responses, of which most objects repeat what was said."""

from __future__ import annotations

from typing import Any

import pytest
from runtimes_tools import Said, body, known, read

from pytest_hydrasmoke._runtimes.meaning import Meaning

COMPLETED = """\
event: response.completed
data: {"type":"response.completed","response":{"status":"completed","error":null,"output":[
data: {"type":"message","role":"assistant","content":[{"type":"text","text":"Hello, world"}]}]}}

"""


def end(kind: str, **response: object) -> Meaning:
    return known({"type": kind, "response": response}, kind)


def test_a_turn() -> None:
    assert read(body("openai-responses")) == Said()
    assert read(body("openai-responses") + COMPLETED) == Said(ends=1)


def test_an_incomplete_response_has_its_reason() -> None:
    met_a_limit: dict[str, Any] = {"incomplete_details": {"reason": "max_output_tokens"}}
    told = Meaning(end=True, finish="max_output_tokens", runtime="OpenAI Responses")
    assert end("response.incomplete", **met_a_limit) == told
    assert end("response.done", status="incomplete", **met_a_limit) == told
    assert end("response.incomplete").finish == "incomplete"
    assert known({"type": "response.incomplete"}).finish == "incomplete"


@pytest.mark.parametrize("kind", ["response.failed", "response.done"])
def test_a_failed_response(kind: str) -> None:
    found = end(kind, status="failed", error={"message": "Overloaded", "code": "server_error"})
    assert found == Meaning(error="Overloaded", runtime="OpenAI Responses")
    found = end(kind, status="failed", error=None)
    assert found.error == "the agent reports an error, and no message with it"


def test_a_cancelled_response() -> None:
    assert end("response.cancelled").error == "the response was cancelled"
    assert end("response.done", status="cancelled").error == "the response was cancelled"


def test_an_error_of_the_stream() -> None:
    told = {"type": "error", "code": "server_error", "message": "Overloaded", "param": None}
    assert known(told, "error").error == known(told).error == "Overloaded"


@pytest.mark.parametrize("status", ["completed", None, 7])
def test_one_name_for_all_ends(status: object) -> None:
    assert end("response.done", status=status) == Meaning(end=True, runtime="OpenAI Responses")


OTHERS = """
    response.created response.output_item.added response.output_item.done response.refusal.delta
    response.output_text.done response.reasoning_text.delta response.mcp_call.failed
    response.function_call_arguments.delta response.unheard_of response.
"""


@pytest.mark.parametrize("kind", OTHERS.split())
def test_other_kinds_say_nothing(kind: str) -> None:
    told = {"type": kind, "delta": "x", "text": "x", "item": {"content": "x"}, "error": "x"}
    assert known(told, kind) == known(told) == Meaning(runtime="OpenAI Responses")
