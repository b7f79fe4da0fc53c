"""One chat turn: who may begin one, when it is accepted, and its times."""

from __future__ import annotations

from typing import Any

import pytest
from chatting import (
    DONE,
    HI,
    IF_LATE,
    Chatted,
    turn_of,
)
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

from pytest_hydrasmoke import (
    ChatBusyError,
    ChatError,
    ChatTimeoutError,
    ContractError,
    HydraSmokeError,
    NotFoundError,
    RouterError,
    TransportError,
    UnauthorizedError,
)
from pytest_hydrasmoke._core import one_turn
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.turn import ChatStream

ROUTERS_LOG = "see the router's log of this moment"


SLOW_DOWN = "the router is busy, and asks to wait 50 s: try again later, or raise the deadline"


BUSY = {409: ROUTERS_LOG, 425: ROUTERS_LOG, 429: SLOW_DOWN, 503: SLOW_DOWN}


@pytest.mark.parametrize("code", [409, 425, 429, 503])
def test_a_turn_that_is_not_accepted_yet_is_asked_for_again(code: int) -> None:
    busy = reply(code, retry_after="5")
    it = Chatted(chat=[busy, busy, stream(Took(1, HI), Took(1, DONE))])
    assert it.error is None
    assert it.io.calls_sent() == ["chat"] * 3
    assert (it.came.first_event_after, it.came.duration) == (1.0, 2.0), "since it was accepted"
    assert it.io.waited == 10 + 2


@pytest.mark.parametrize("code", [409, 425, 429, 503])
def test_a_turn_that_is_never_accepted_is_a_timeout(code: int) -> None:
    it = Chatted(chat=[reply(code, {"detail": "warming up"}, retry_after="50"), ...])
    assert type(it.error) is ChatTimeoutError
    assert str(it.error) == (
        f"not accepted within 120 s: chat was refused with {code} (4 attempts): warming up\n"
        "  phase:     first_event, after 119.5 s\n"
        f"  instance:  {ID}\n"
        "  last seen: no event yet\n"
        f"  next step: {BUSY[code]}"
    )
    assert it.error.__context__ is None


def test_a_gateway_that_takes_no_message_is_not_told_as_the_agents_fault() -> None:
    page = b"<html><title>503 Service Temporarily Unavailable</title></html>"
    limited = reply(503, page, server="nginx/1.26.3", content_type="text/html")
    it = Chatted(chat=[limited, ...], timeout=5)
    assert it.error is not None
    assert "503 Service Temporarily Unavailable (answered by nginx/1.26.3, text/html)" in (
        it.error.message
    )
    assert it.error.next_step is not None
    assert "gateway" in it.error.next_step
    assert "agent" not in it.error.next_step


REFUSALS: dict[str, tuple[Any, type[HydraSmokeError]]] = {
    "400": (reply(400, {"detail": "no such agent"}), RouterError),
    "401": (reply(401), UnauthorizedError),
    "404": (NOT_FOUND, NotFoundError),
    "500": (reply(500), RouterError),
    "502": (reply(502), RouterError),
    "504": (reply(504), RouterError),
    "lost": (lost(), TransportError),
    "no stream": (lambda _: stream(b"{}", kind="application/json"), ContractError),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_any_other_answer_is_told_at_once_and_frees_the_instance(case: str) -> None:
    answer, kind = REFUSALS[case]
    io, calls = calls_of(None, chat=[answer])
    turn = turn_of(calls)
    with pytest.raises(kind) as caught:
        drive(turn.open())
    assert type(caught.value) is kind
    assert isinstance(caught.value, HydraSmokeError)
    assert (caught.value.phase, caught.value.instance) == ("first_event", ID)
    assert caught.value.last == "no event yet"
    assert io.calls_sent() == ["chat"], "it is never asked for again"
    assert not one_turn._busy


def test_a_router_that_does_not_answer_in_time_is_a_timeout() -> None:
    it = Chatted(chat=[HANG], timeout=20)
    assert type(it.error) is ChatTimeoutError
    assert it.io.waited == 20
    assert it.error.message == "not answered within 20 s: chat: no answer in time"
    assert it.error.next_step == IF_LATE


SPELLED = [ID, ID.upper(), ID.replace("-", ""), f"{{{ID}}}", f"urn:uuid:{ID}", f"URN:UUID:{ID}"]


@pytest.mark.parametrize("spelled", SPELLED)
def test_a_second_turn_on_an_instance_is_refused_while_one_is_under_way(spelled: str) -> None:
    first = turn_of(calls_of(None, chat=[stream(HI)])[1])
    io, calls = calls_of(None, chat=[stream(HI), stream(HI)])
    second, third = turn_of(calls, spelled), turn_of(calls, OTHER_ID)
    drive(first.open())
    drive(third.open())
    with pytest.raises(ChatBusyError) as caught:
        drive(second.open())
    drive(second.close())
    drive(third.close())
    assert io.calls_sent() == ["chat"], "nothing is sent"
    assert str(caught.value) == (
        "a chat turn is under way on this instance already\n"
        "  next step: end that turn first, or chat on an instance of your own "
        "(smoke_instance_factory)"
    )
    with pytest.raises(ChatBusyError):
        drive(second.open())
    drive(first.close())
    drive(second.open())
    drive(second.close())


def test_to_close_twice_is_to_close_once_and_frees_no_other_turn() -> None:
    answer = stream(HI)
    _, calls = calls_of(None, chat=[answer, stream(HI)])
    first, second = turn_of(calls), turn_of(calls)
    drive(second.close())
    drive(first.open())
    drive(first.close())
    drive(second.open())
    drive(first.close())
    assert answer.closed == 1
    with pytest.raises(ChatBusyError):
        drive(first.open())
    drive(second.close())


def test_a_stream_is_read_in_its_own_block_alone() -> None:
    _, calls = calls_of(None, chat=[stream(b'data: {"error": "no"}\n\n' + HI + DONE)])
    it = ChatStream(turn_of(calls))
    with pytest.raises(ChatError, match="is not open") as caught:
        next(it)
    assert "`with` block" in str(caught.value)
    with it:
        assert next(it).data == '{"error": "no"}'
    # What had arrived is gone with the connection, an agent's error too.
    with pytest.raises(ChatError, match="is not open"):
        next(it)


def test_a_stream_read_to_its_end_has_ended_after_its_block_too() -> None:
    _, calls = calls_of(None, chat=[stream(HI, DONE)])
    with ChatStream(turn_of(calls)) as it:
        assert len(list(it)) == 2
    assert list(it) == []


def test_a_connection_that_fails_to_close_frees_the_instance() -> None:
    class Broken(ScriptedStream):
        async def close(self) -> None:
            raise OSError("no")

    answer = Broken(200, {"content-type": "text/event-stream"}, [])
    turn = turn_of(calls_of(None, chat=[answer])[1])
    drive(turn.open())
    with pytest.raises(OSError, match="no"):
        drive(turn.close())


def test_times_count_from_the_request() -> None:
    it = Chatted(chat=[Took(1, stream(Took(2, b": ping\n\n"), Took(3, HI), Took(4, DONE)))])
    assert (it.came.first_event_after, it.came.duration) == (6.0, 10.0)
    it = Chatted(Took(3, lost()))
    assert (it.came.first_event_after, it.came.duration) == (None, 0.0), "no event, no times"


def test_a_turn_that_is_over_stays_over() -> None:
    _, calls = calls_of(None, chat=[stream(HI)])
    turn = turn_of(calls)
    drive(turn.open())
    assert drive(turn.next()) is not None
    assert [drive(turn.next()) for _ in range(3)] == [None] * 3
    drive(turn.close())


def test_an_interrupt_is_no_chat_error() -> None:
    _, calls = calls_of(None, chat=[stream(KeyboardInterrupt())])
    turn = turn_of(calls)
    drive(turn.open())
    with pytest.raises(KeyboardInterrupt):
        drive(turn.next())
    drive(turn.close())
