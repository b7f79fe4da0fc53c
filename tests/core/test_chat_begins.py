"""One chat turn: who may begin one, when it is accepted, and its times."""

from __future__ import annotations

from typing import Any

import pytest
from core_tools import DONE, HI, IF_LATE, Chatted, fails, turn_of
from scripted_io import (
    HANG,
    ID,
    NOT_FOUND,
    OTHER_ID,
    ScriptedStream,
    Took,
    calls_of,
    lost,
    reply,
    stream,
)

import pytest_hydrasmoke as hydra
from pytest_hydrasmoke._core import run_turns
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.turn import ChatStream

ROUTERS_LOG = "see the router's log of this moment"
SLOW_DOWN = "the router is busy, and asks to wait 50 s: try again later, or allow more time"


@pytest.mark.parametrize(
    ("code", "step"), [(409, ROUTERS_LOG), (425, ROUTERS_LOG), (429, SLOW_DOWN), (503, SLOW_DOWN)]
)
def test_a_turn_that_is_not_accepted_yet_is_asked_for_again(code: int, step: str) -> None:
    busy = reply(code, retry_after="5")
    it = Chatted(chat=[busy, busy, stream(Took(1, HI), Took(1, DONE))])
    assert it.end == (None, "Hi", True)
    assert it.io.calls_sent() == ["chat"] * 3
    assert (it.came.times.first_event, it.came.duration) == (1.0, 2.0), "since it was accepted"
    assert it.io.waited == 10 + 2
    it = Chatted(chat=[reply(code, {"detail": "warming up"}, retry_after="50"), ...])
    assert type(it.error) is hydra.ChatTimeoutError
    refused = f"chat was refused with {code} (4 attempts): warming up"
    assert it.error.message == f"not accepted within 120 s: {refused}"
    assert (it.error.seconds, it.error.next_step) == (pytest.approx(119.5), step)
    assert it.error.__context__ is None


REFUSALS: dict[str, tuple[Any, type[hydra.HydraSmokeError]]] = {
    "400": (reply(400, {"detail": "no such agent"}), hydra.RouterError),
    "401": (reply(401), hydra.UnauthorizedError),
    "404": (NOT_FOUND, hydra.NotFoundError),
    "500": (reply(500), hydra.RouterError),
    "502": (reply(502), hydra.RouterError),
    "504": (reply(504), hydra.RouterError),
    "lost": (lost(), hydra.TransportError),
    "no stream": (lambda _: stream(b"{}", kind="application/json"), hydra.ContractError),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_any_other_answer_is_told_at_once_and_frees_the_instance(case: str) -> None:
    answer, kind = REFUSALS[case]
    io, calls = calls_of(None, chat=[answer])
    error = fails(kind, turn_of(calls).open())
    assert isinstance(error, hydra.HydraSmokeError)
    assert (error.phase, error.instance, error.last) == ("first_event", ID, "no event yet")
    assert io.calls_sent() == ["chat"], "it is never asked for again"
    assert not run_turns._busy


def test_a_router_that_does_not_answer_in_time_is_a_timeout() -> None:
    it = Chatted(chat=[HANG], timeout=20)
    assert type(it.error) is hydra.ChatTimeoutError
    assert it.io.waited == 20
    assert it.error.message == "not answered within 20 s: chat: no answer in time"
    assert it.error.next_step == IF_LATE


@pytest.mark.parametrize("spelled", [ID, ID.upper(), ID.replace("-", ""), f"URN:UUID:{{{ID}}}"])
def test_a_second_turn_on_an_instance_is_refused_while_one_is_under_way(spelled: str) -> None:
    first = turn_of(calls_of(None, chat=[stream(HI)])[1])
    io, calls = calls_of(None, chat=[stream(HI), stream(HI)])
    second, other = turn_of(calls, spelled), turn_of(calls, OTHER_ID)
    drive(first.open())
    drive(other.open())
    assert str(fails(hydra.ChatBusyError, second.open())) == (
        "a chat turn is under way on this instance already\n"
        "  next step: end that turn first, or chat on an instance of your own "
        "(smoke_instance_factory)"
    )
    drive(second.close())
    drive(other.close())
    assert io.calls_sent() == ["chat"], "nothing is sent"
    fails(hydra.ChatBusyError, second.open())
    drive(first.close())
    drive(second.open())
    # To close twice is to close once, and frees no other turn.
    drive(first.close())
    third = turn_of(calls, spelled)
    fails(hydra.ChatBusyError, third.open())
    drive(second.close())
    assert [it.closed for it in io.opened] == [1, 1]


def test_a_stream_is_read_in_its_own_block_alone() -> None:
    _, calls = calls_of(None, chat=[stream(b'data: {"error": "no"}\n\n' + HI + DONE)])
    it = ChatStream(turn_of(calls))
    with pytest.raises(hydra.ChatError, match="is not open") as caught:
        next(it)
    assert "`with` block" in str(caught.value)
    with it:
        assert next(it).data == '{"error": "no"}'
    # What had arrived is gone with the connection, an agent's error too.
    with pytest.raises(hydra.ChatError, match="is not open"):
        next(it)
    _, calls = calls_of(None, chat=[stream(HI, DONE)])
    with ChatStream(turn_of(calls)) as it:
        assert [event.text for event in it] == ["Hi", ""]
        assert list(it) == [], "a turn that is over stays over"
    assert list(it) == []


def test_a_connection_that_fails_to_close_frees_the_instance() -> None:
    class Broken(ScriptedStream):
        async def close(self) -> None:
            raise OSError("no")

    turn = turn_of(calls_of(None, chat=[Broken(200, {"content-type": "text/event-stream"}, [])])[1])
    drive(turn.open())
    fails(OSError, turn.close())
    assert not run_turns._busy


def test_times_count_from_the_request() -> None:
    it = Chatted(chat=[Took(1, stream(Took(2, b": ping\n\n"), Took(3, HI), Took(4, DONE)))])
    assert (it.came.times.first_event, it.came.duration) == (6.0, 10.0)
    assert (it.came.times.awaited, it.turn.outcome.at - it.turn.story.at) == (6.0, 10.0)
    it = Chatted(Took(3, lost()))
    assert (it.came.times.first_event, it.came.duration) == (None, 0.0), "no event, no times"
