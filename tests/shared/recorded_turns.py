"""Turns as they are recorded, and as they were taken."""

from __future__ import annotations

import json
from collections.abc import Mapping

from scripted_io import ID, ScriptedIO

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._core.chat_target import ChatTarget
from pytest_hydrasmoke._core.incoming import Incoming, Reading
from pytest_hydrasmoke._core.open_turn import OpenTurn
from pytest_hydrasmoke._core.turn_end import Ending
from pytest_hydrasmoke._recordings.compare import compared
from pytest_hydrasmoke._recordings.format import Recorded, Refusal
from pytest_hydrasmoke._runtimes.content import Content

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
) -> Recorded:
    return Recorded(1, instance, spec, message, None, "closed", [*enumerate(chunks, 400)])


def refusal(body: bytes) -> Recorded:
    return Recorded(2, None, {}, "Hello", chunks=[], refused=Refusal(503, "text/plain", body))


def taken(
    *chunks: bytes,
    message: str = "Hello",
    run: int = 1,
    instance: int | str = "shared",
    spec: Mapping[str, str] = SPEC,
    end: Ending = "closed",
    content: Content | None = None,
) -> tuple[Recorded, OpenTurn]:
    """Return a turn that was recorded, and what was known of it before; with `content`, read it."""
    it = ChatTarget.of_client(ID)
    came = Incoming(Reading(), "auto", content)
    turn = OpenTurn(Calls(ScriptedIO()), it, message, came, timeout=60.0)
    turn.records()
    turn.outcome.ending, turn.kept.chunks = end, [(0.4, chunk) for chunk in chunks]
    for chunk in chunks:
        turn.came.feed(chunk, 0.4)
    while turn.came.take() is not None:
        pass
    return Recorded(run, instance, spec, message), turn


def differs(old: Recorded, new: Recorded) -> str | None:
    return compared([old], [new], Reading())[1]
