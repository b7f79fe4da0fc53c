"""AG-UI's events."""

from __future__ import annotations

from typing import Any

import pytest
from runtimes_tools import Said, body, known, read, read_one

from pytest_hydrasmoke._runtimes.ag_ui import TYPES
from pytest_hydrasmoke._runtimes.content import Content, TokenUsage
from pytest_hydrasmoke._runtimes.meaning import Meaning

FINISHED = 'data: {"type":"RUN_FINISHED","threadId":"t1","runId":"r1"}\n\n'
NO_NUMBER = "the reported usage is not a number of tokens"
TEXT = {"TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CHUNK"}


def test_a_turn() -> None:
    assert read(body("ag-ui")) == Said()
    assert read(body("ag-ui") + FINISHED) == Said(ends=1)


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ({"message": "no credit", "code": "E7"}, "no credit"),
        ({"code": "E7"}, "E7"),
        ({}, "the agent reports an error, and no message with it"),
    ],
)
def test_an_error(frame: dict[str, str], error: str) -> None:
    assert known({"type": "RUN_ERROR", **frame}) == Meaning(error=error, runtime="AG-UI")


@pytest.mark.parametrize("kind", sorted(TEXT))
def test_text(kind: str) -> None:
    assert known({"type": kind, "delta": "Hi"}) == Meaning("Hi", runtime="AG-UI")
    assert known({"type": kind, "delta": None}) == Meaning(runtime="AG-UI")
    assert known({"type": kind, "role": "user", "delta": "x"}) == Meaning(runtime="AG-UI")


@pytest.mark.parametrize("kind", sorted(TEXT))
def test_what_a_subagent_says_is_no_reply(kind: str) -> None:
    told = {"type": kind, "delta": "x", "subagentRunId": "s1"}
    assert known(told) == Meaning(runtime="AG-UI")


def test_a_run_ends_with_its_outcome() -> None:
    def outcome(kind: object) -> Meaning:
        return known({"type": "RUN_FINISHED", "outcome": {"type": kind}})

    assert outcome("interrupt") == Meaning(end=True, finish="interrupt", runtime="AG-UI")
    assert outcome(7) == Meaning(end=True, runtime="AG-UI")
    assert outcome("cancelled") == Meaning(error="the run was cancelled", runtime="AG-UI")


COUNTED: list[tuple[Any, tuple[int, int] | None, list[str]]] = [
    ([{"inputTokens": 7, "outputTokens": 2}], (7, 2), []),
    ([{"inputTokens": 7}, {"inputTokens": 1, "outputTokens": 2}, "x"], (8, 2), []),
    ([{"inputTokens": 7}], None, []),
    ([{"inputTokens": 7, "outputTokens": 0}, {"outputTokens": 5}], (7, 5), []),
    ([{"inputTokens": 7, "outputTokens": -1}, {"outputTokens": 5}], None, [NO_NUMBER]),
    ([{"inputTokens": True, "outputTokens": "2"}], None, [NO_NUMBER]),
    ({"inputTokens": 7, "outputTokens": 2}, None, []),
    (None, None, []),
]


@pytest.mark.parametrize(("usage", "tokens", "notes"), COUNTED, ids=str)
def test_usage_is_told_a_model_at_a_time(
    usage: Any, tokens: tuple[int, int] | None, notes: list[str]
) -> None:
    content = Content()
    content.add(read_one({"type": "RUN_FINISHED", "usage": usage}), 0.0)
    assert content.usage == (None if tokens is None else TokenUsage(*tokens))
    assert content.notes == notes


def test_other_kinds_say_nothing() -> None:
    told = {"delta": "x", "content": "x", "text": "x", "message": "x", "error": "x"}
    for kind in TYPES - TEXT - {"RUN_FINISHED", "RUN_ERROR"}:
        said = Meaning(begins=kind == "RUN_STARTED", runtime="AG-UI")
        assert known({"type": kind, **told}) == said, kind


def test_the_end() -> None:
    assert known({"type": "RUN_FINISHED"}) == Meaning(end=True, runtime="AG-UI")
