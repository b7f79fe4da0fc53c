"""What is recorded of a turn: its bytes as they were read, how its stream ended, its LLM events."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from counting import ready
from scripted_io import (
    HANG,
    ID,
    START,
    ScriptedIO,
    Took,
    calls_of,
    events,
    late,
    lost,
    refused,
    reply,
    stream,
)
from turns_told import begin, end

from pytest_hydrasmoke import HydraSmokeError
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._core.account import (
    count_for_recording,
)
from pytest_hydrasmoke._core.beside import Beside
from pytest_hydrasmoke._core.chat import OpenTurn
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.run_turns import RunTurns
from pytest_hydrasmoke._core.stage import Stage
from pytest_hydrasmoke._core.turn_account import Count, TurnAccount
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._transport.protocol import drive

WORD, DONE = b'data: {"choices": [{"delta": {"content": "Ready"}}]}\n\n', b"data: [DONE]\n\n"


class Recording(Stage):
    """Has every turn recorded."""

    def asks(self, turn: OpenTurn) -> None:
        turn.records()


def recorded(*answers: Any, read: int = 99) -> OpenTurn:
    """Run a turn that is recorded, or read so many events of it."""
    io = ScriptedIO(chat=list(answers))
    it = Beside(ID, turns=RunTurns(stage=Recording()))
    turn = OpenTurn(
        *(Calls(io), it, "Hello"),
        timeout=60.0,
        end="auto",
        reading=Reading(),
        content=Content(),
    )

    async def run() -> None:
        await turn.open()
        try:
            for _ in range(read):
                if await turn.next() is None:
                    break
        finally:
            await turn.close()

    with contextlib.suppress(HydraSmokeError):  # As the test that is recorded may expect it.
        drive(run())
    return turn


def test_bytes_are_recorded_as_they_were_read_and_when() -> None:
    made = recorded(stream(Took(0.5, WORD[:7]), Took(0.25, WORD[7:] + DONE)))
    assert made.kept.chunks == [(0.5, WORD[:7]), (0.75, WORD[7:] + DONE)]
    assert (made.came.text, made.ending, made.message) == ("Ready", "closed", "Hello")


@pytest.mark.parametrize(
    ("steps", "end"),
    [
        ([WORD, DONE], "closed"),
        ([WORD, DONE, lost()], "closed"),
        ([WORD], "closed"),
        ([], "closed"),
        ([WORD, lost()], "cut"),
        ([WORD, HANG], "stalled"),
        ([b'data: {"error": {"message": "no"}}\n\n', DONE], "left"),
    ],
)
def test_how_a_stream_ended(steps: list[Any], end: str) -> None:
    made = recorded(stream(*steps))
    assert (made.ending, made.refusal) == (end, None)


def test_a_stream_that_its_reader_leaves() -> None:
    made = recorded(stream(WORD, WORD, DONE), read=1)
    assert (made.ending, made.kept.chunks) == ("left", [(0.0, WORD)])


def test_refused_and_then_accepted_is_the_stream_alone() -> None:
    made = recorded(reply(503), stream(WORD, DONE))
    assert (made.refusal, made.ending) == (None, "closed")
    assert made.kept.chunks == [(0.0, WORD), (0.0, DONE)]


def test_a_refusal_that_stood_is_recorded_with_its_body() -> None:
    made = recorded(reply(503, {"detail": "booting"}), ...)
    assert made.refusal is not None
    assert (made.refusal.status, made.refusal.body) == (503, b'{"detail": "booting"}')
    assert made.refusal.headers["content-type"] == "application/json"


def test_an_answer_that_is_no_stream_is_a_refusal() -> None:
    made = recorded(stream(b"<html>", kind="text/html"))
    assert made.refusal is not None
    assert (made.refusal.status, made.refusal.headers["content-type"]) == (200, "text/html")
    made = recorded(reply(204))
    assert made.refusal is not None
    assert made.refusal.status == 204


@pytest.mark.parametrize(
    ("error", "end"), [(lost(), "cut"), (refused(), "cut"), (late(), "stalled")]
)
def test_a_message_without_an_answer(error: HydraSmokeError, end: str) -> None:
    made = recorded(error, ...)
    assert (made.ending, made.refusal, made.kept.chunks) == (end, None, [])


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (events(5, "a"), (5, frozenset("a"))),
        # A recording does without, and the test goes on.
        (reply(422), None),
    ],
)
def test_the_last_turns_events_are_counted_for_a_recording(answer: Any, found: Any) -> None:
    it = ready()
    number = begin(it, 3, START)
    account = it.account = TurnAccount(Count(START, 3, number=number), recorded=True)
    io, calls = calls_of(it, llm_events=[answer])
    drive(count_for_recording(calls, it))
    assert len(io.sent) == 1
    assert (account.found and account.found.rows) == found


def test_what_a_replay_does_not_know_is_no_sign_of_a_turn_without_events() -> None:
    it = ready()
    begin(it, 0, START)
    end(it, START, known=False)
    assert it.settling.last is not None
    assert not it.settling.last.sure
