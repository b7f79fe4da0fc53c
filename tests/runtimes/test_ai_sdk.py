"""The AI SDK's UI message stream."""

from __future__ import annotations

import pytest
from runtimes_tools import DONE, Said, body, known, read

from pytest_hydrasmoke._runtimes.ai_sdk import TYPES
from pytest_hydrasmoke._runtimes.meaning import Meaning


def test_a_turn() -> None:
    assert read(body("ui-messages")) == Said()
    assert read(body("ui-messages") + 'data: {"type":"finish"}\n\n' + DONE) == Said(ends=2)


def test_a_finish_may_tell_why() -> None:
    assert known({"type": "finish", "finishReason": "content-filter"}).finish == "content-filter"
    failed = known({"type": "finish", "finishReason": "error"})
    assert failed.error == "it finished with 'error', and no message with it"
    assert failed.end


def test_text_under_the_names_of_all_its_protocols() -> None:
    for name in ("delta", "textDelta", "text"):
        assert known({"type": "text-delta", name: "Hi"}) == Meaning("Hi", runtime="AI SDK")


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ({"type": "error", "errorText": "no credit"}, "no credit"),
        (
            {"type": "error", "errorText": ""},
            "the agent reports an error, and no message with it",
        ),
        ({"type": "abort"}, "the stream was aborted"),
        ({"type": "abort", "reason": "the user left"}, "the user left"),
    ],
)
def test_failures(frame: dict[str, str], error: str) -> None:
    assert known(frame) == Meaning(error=error, runtime="AI SDK")
    assert known(frame, "error").error is not None


SILENT = sorted(
    (TYPES - {"text-delta", "abort", "start", "finish", "error"})
    | {"data-weather", "data-error", "data-text"}
)


def test_other_kinds_say_nothing() -> None:
    told = {"delta": "x", "data": "x", "text": "x", "errorText": "x", "error": "x"}
    for kind in SILENT:
        assert known({"type": kind, **told}) == Meaning(runtime="AI SDK"), kind


@pytest.mark.parametrize("kind", ["start", "file", "finish", "token"])
def test_everybodys_words_are_not_taken_for_its_own(kind: str) -> None:
    assert not known({"type": kind, "content": "x"}).runtime
