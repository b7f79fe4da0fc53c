"""AG-UI's events."""

from __future__ import annotations

import pytest
from runtimes_tools import Said, body, known, read

from pytest_hydrasmoke._runtimes.ag_ui import TYPES
from pytest_hydrasmoke._runtimes.meaning import Meaning

FINISHED = 'data: {"type":"RUN_FINISHED","threadId":"t1","runId":"r1"}\n\n'
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
    assert known({"type": "RUN_ERROR", **frame}) == Meaning(error=error, always_ends=True)


@pytest.mark.parametrize("kind", sorted(TEXT))
def test_text(kind: str) -> None:
    assert known({"type": kind, "delta": "Hi"}) == Meaning("Hi", always_ends=True)
    assert known({"type": kind, "delta": None}) == Meaning(always_ends=True)
    assert known({"type": kind, "role": "user", "delta": "x"}) == Meaning(always_ends=True)


@pytest.mark.parametrize("kind", sorted(TYPES - TEXT - {"RUN_FINISHED", "RUN_ERROR"}))
def test_other_kinds_say_nothing(kind: str) -> None:
    told = {"type": kind, "delta": "x", "content": "x", "text": "x", "message": "x", "error": "x"}
    assert known(told) == Meaning(always_ends=True)


def test_the_end() -> None:
    assert known({"type": "RUN_FINISHED"}) == Meaning(end=True, always_ends=True)
