"""Turns as they are recorded, and tapes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.tape import Tape
from pytest_hydrasmoke._run.recording import Refusal, Turn
from pytest_hydrasmoke._run.recording_words import compared

TOKEN = "q7XwZt3mLk9vRb2yNd5Hc8Fj4Gs6Pa1T"
TEST = "tests/test_agent.py::test_answers[de]"
SPEC = {"manifest_id": "hermes-basic"}


def frame(text: str, **more: object) -> bytes:
    return f"data: {json.dumps({'choices': [{'delta': {'content': text}, **more}]})}\n\n".encode()


DONE = b"data: [DONE]\n\n"


def turn(
    *chunks: bytes,
    message: str = "Hello",
    instance: int | str | None = "shared",
    spec: Mapping[str, str] = SPEC,
) -> Turn:
    times = list(range(400, 400 + len(chunks)))
    return Turn(1, instance, spec, message, None, "closed", times, list(chunks), None)


def refusal(body: bytes) -> Turn:
    return Turn(2, None, {}, "Hello", None, None, [], [], Refusal(503, "text/plain", body))


def tape(*chunks: bytes, text: str = "", message: str = "Hello") -> Tape:
    made = Tape(message, 1, "shared", SPEC, [0.4] * len(chunks), list(chunks), [text])
    made.end = "closed"
    return made


def differs(old: Turn, new: Turn) -> str | None:
    return compared([old], [new], Reading())[1]
