"""When an account begins: what a turn waits for, and what is said where it can't be certain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from accounting import DONE, HI, Rows, chat, chatting, ready, watched
from scripted_io import (
    START,
    Listening,
    ScriptedIO,
    Took,
    calls_of,
    events,
    lost,
    refused,
    reply,
    stream,
)
from turns_told import begin, end

from pytest_hydrasmoke import (
    ChatTimeoutError,
    HydraSmokeError,
    LlmEventsError,
    RejectedError,
    TransportError,
)
from pytest_hydrasmoke._core.account import count_before
from pytest_hydrasmoke._core.expected import Expected
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.settle import (
    LEAST,
    USUAL,
    WATCHED,
)
from pytest_hydrasmoke._core.turn_account import Count
from pytest_hydrasmoke._journal.events import Doing
from pytest_hydrasmoke._transport.protocol import drive


def test_a_turn_waits_until_the_one_before_is_settled() -> None:
    rows = Rows(1.5)
    io, handle = chatting(rows)
    first, waited = chat(io, handle)
    assert waited == 0.0
    account, waited = chat(io, handle)
    assert waited == pytest.approx(5.0), "nobody has watched a turn before"
    assert (first.before.count, account.before.count) == (0, 1)
    assert first.after == account.before
    with pytest.raises(LlmEventsError):
        drive(handle.expect_of_turn(Expected(), account, 1))


def test_the_wait_is_no_part_of_the_chats_time() -> None:
    io, handle = chatting(
        Rows(), timeout=1.0, chats=[stream(HI + DONE), stream(Took(0.9, HI + DONE))]
    )
    chat(io, handle)
    assert chat(io, handle)[1] == pytest.approx(5.9)
    assert handle.record.phases["turn"] == pytest.approx(0.9)


def test_once_two_turns_were_watched_back_to_back_turns_wait_a_second() -> None:
    rows = Rows()
    io, handle = chatting(rows)
    waits, reads, counts = [], [], []
    for _ in range(20):
        before = len(io.calls_sent("llm_events"))
        account, waited = chat(io, handle)
        waits.append(waited)
        counts.append(account.before.count)
        reads.append(len(io.calls_sent("llm_events")) - before)
        rows.at.append(io.time - START + 0.2)
    assert waits[:3] == [0.0, pytest.approx(5.0), pytest.approx(5.0)]
    assert waits[3:] == [pytest.approx(LEAST)] * 17
    assert max(reads[1:3]) < 45
    assert max(reads[3:]) <= 6
    assert counts == list(range(20))


def test_what_has_passed_since_the_turns_end_counts() -> None:
    rows = Rows(1.5)
    io, handle = chatting(rows)
    chat(io, handle)
    io.time += 4
    assert chat(io, handle)[1] == pytest.approx(1.0)
    io.time += 5
    assert chat(io, handle)[1] == 0.0, "a slow test waits for nothing"


def test_what_an_expectation_saw_is_measured_and_settles_a_turn() -> None:
    rows = Rows(0.2)
    io, handle = chatting(rows)
    for _ in range(WATCHED):
        account, waited = chat(io, handle)
        rows.at.append(io.time - START + 0.2)
        drive(handle.expect_of_turn(Expected(), account, None))
        assert handle.record.settling.longest == pytest.approx(0.2, abs=0.05)
        io.time += 5
        drive(handle.expect_of_turn(Expected(), account, None))
    assert handle.record.settling.watched == WATCHED
    account, waited = chat(io, handle)
    rows.at.append(io.time - START + 0.2)
    assert waited == 0.0
    drive(handle.expect_of_turn(Expected(1, 1), account, None))
    assert chat(io, handle)[1] == 0.0, "the second look has seen that no more came"


@pytest.mark.parametrize("settle", [5.0, 2.0])
def test_a_turn_left_early_is_waited_for_to_the_end(settle: float) -> None:
    rows = Rows(0.1)
    io, handle = chatting(rows, settle=settle, it=watched())
    turn = handle.turn("hello", None)
    drive(turn.open())
    drive(turn.next())
    drive(turn.close())
    before = len(io.calls_sent("llm_events"))
    assert chat(io, handle)[1] == pytest.approx(settle)
    assert len(io.calls_sent("llm_events")) - before == 2, "one look, a wait, and the count"
    assert handle.record.settling.last is not None


@pytest.mark.parametrize(
    "broken",
    [
        reply(500, {"detail": "no"}),
        lost(),
        reply(200, {"no": "stream"}),
        stream(HI, Took(200)),
        stream(HI + b'event: error\ndata: {"error": "no"}\n\n'),
    ],
    ids=["500", "lost", "no stream", "timeout", "error"],
)
def test_after_a_turn_that_failed_all_is_waited(broken: Any) -> None:
    io, handle = chatting(Rows(0.1), it=watched(), chats=[broken, stream(HI + DONE)])
    with pytest.raises(HydraSmokeError):
        chat(io, handle)
    assert handle.record.settling.last is not None
    assert handle.record.settling.last.how == "failed"
    assert chat(io, handle)[1] == pytest.approx(5.0)


TOO_LONG = {"detail": [{"loc": ["body", "message"], "msg": "too long", "type": "x"}]}


@pytest.mark.parametrize(
    ("never_taken", "kind"),
    [
        (reply(422, TOO_LONG), RejectedError),
        (reply(503), ChatTimeoutError),
        (refused(), TransportError),
    ],
    ids=["422", "503", "no connection"],
)
def test_a_message_that_was_refused_was_no_turn(never_taken: Any, kind: type[Exception]) -> None:
    io, handle = chatting(
        Rows(0.1), it=watched(), chats=[stream(HI + DONE), never_taken, stream(HI + DONE)]
    )
    chat(io, handle)
    io.time += 1
    with pytest.raises(kind):
        drive(handle.chat("hello", 0.1))
    start = io.time
    chat(io, handle)
    assert io.time == start
    assert handle.record.settling.number == 2


def test_after_three_turns_without_a_row_nothing_is_waited_for_and_nothing_is_told() -> None:
    rows = Rows()
    io, handle = chatting(rows)
    handle.record.run_turns.stage.test = "test_a.py::test_x"
    turns = [chat(io, handle) for _ in range(6)]
    assert [waited for _, waited in turns] == [
        0,
        pytest.approx(5),
        pytest.approx(5),
        pytest.approx(5),
        0,
        0,
    ]
    with pytest.raises(LlmEventsError) as caught:
        drive(handle.expect_of_turn(Expected(0, 0), turns[5][0], None))
    assert caught.value.got == (
        "LLM events of the turn before, of test_a.py::test_x, may be among them: "
        "the 4 turns before that one left none, so there was no wait"
    )
    assert caught.value.next_step == "see why the agent's usage is not recorded"
    # As soon as one is seen, there is something to wait for again.
    rows.at.append(io.time - START)
    io.time += 0.1
    assert chat(io, handle)[1] == pytest.approx(4.9)


def test_without_a_wait_an_account_in_doubt_is_an_error_that_names_the_test() -> None:
    rows = Rows(1.5)
    io, handle = chatting(rows, settle=0.0)
    handle.record.run_turns.stage.test = "test_a.py::test_x"
    turns = [chat(io, handle) for _ in range(2)]
    assert [waited for _, waited in turns] == [0, 0]
    io.time += 2
    for wanted in (Expected(), Expected(0), Expected(1, 1)):
        with pytest.raises(LlmEventsError) as caught:
            drive(handle.expect_of_turn(wanted, turns[1][0], None))
        assert caught.value.got == (
            "LLM events of the turn before, of test_a.py::test_x, may be among them: "
            "there was no wait"
        )
        assert caught.value.next_step == "set HYDRA_SMOKE_USAGE_SETTLE to more than 0"
    with pytest.raises(LlmEventsError) as caught:
        drive(handle.expect_of_turn(Expected(0, 0), turns[0][0], None))
    assert "some may be missing" in (caught.value.got or "")
    # What the default would have waited for has passed by itself.
    io.time += USUAL
    account, _ = chat(io, handle)
    rows.at.append(io.time - START)
    drive(handle.expect_of_turn(Expected(), account, None))


def test_events_known_to_come_later_than_is_waited_are_an_error() -> None:
    rows = Rows(8.0)
    io, handle = chatting(rows)
    account, _ = chat(io, handle)
    drive(handle.expect_of_turn(Expected(), account, None))
    chat(io, handle)
    account, waited = chat(io, handle)
    assert waited == pytest.approx(5)
    with pytest.raises(LlmEventsError, match="not as expected") as caught:
        drive(handle.expect_of_turn(Expected(0), account, None))
    assert "events came up to 8." in (caught.value.got or "")
    assert caught.value.next_step == "raise HYDRA_SMOKE_USAGE_SETTLE to more than twice that"


def test_a_count_that_can_not_be_read_ends_the_wait_and_is_told() -> None:
    doing: list[Doing] = []
    it = ready()
    it.keeper = Listening(doing=doing.append)
    begin(it, 0, START)
    end(it, START)
    io, calls = calls_of(it, llm_events=[events(0), reply(401)])
    baseline = drive(count_before(calls, it, Policy()))
    assert baseline == Count(io.time, error="llm_events was refused with 401")
    assert doing[-1:] == [Doing(None)]


def test_who_watches_is_told_that_it_waits() -> None:
    told: list[Doing] = []
    it = ready()
    it.keeper = Listening(doing=told.append)
    io, handle = chatting(Rows(), it=it)
    chat(io, handle)
    end, told[:] = io.time, []
    chat(io, handle)
    assert told[:2] == [Doing("llm_events", end + 5), Doing(None)]
    assert "llm_events" not in it.phases, "it is no time that a turn's events took"


class Enough(BaseException):
    """What ends a test."""


def test_a_wait_that_is_interrupted_leaves_everything_as_it_was() -> None:
    class Interrupted(ScriptedIO):
        async def sleep(self, seconds: float) -> None:
            raise Enough

    rows = Rows()
    io, handle = chatting(rows)
    chat(io, handle)
    before, doing = handle.record.settling, list[Doing]()
    handle.record.keeper = Listening(doing=doing.append)
    io.__class__ = Interrupted
    with pytest.raises(Enough):
        chat(io, handle)
    io.__class__ = ScriptedIO
    assert handle.record.settling.number == before.number
    assert doing[-1:] == [Doing(None)]
    assert chat(io, handle)[1] == pytest.approx(5)


# --- a fake that knows -----------------------------------------------------------------------


def asking(rows: Rows, *, says: Callable[[], bool]) -> tuple[ScriptedIO, Handle]:
    it = ready()
    rows.io, calls = calls_of(it, llm_events=[rows, ...], chat=[lambda _: stream(HI + DONE), ...])
    policy = Policy(to_come=lambda instance_id: instance_id == it.id and says())
    return rows.io, Handle(calls, it, policy, Reading())


def test_where_nothing_is_to_come_the_next_chat_begins() -> None:
    rows = Rows()
    io, handle = asking(rows, says=lambda: any(io.time < START + at for at in rows.at))
    for number in range(4):
        account, waited = chat(io, handle)
        assert (account.before.count, account.before.doubt) == (number, None)
        assert waited == pytest.approx(0.2 if number else 0.0, abs=0.02)
        rows.at.append(io.time - START + 0.2)


def test_what_may_come_for_ever_is_waited_for_as_from_any_router() -> None:
    io, handle = asking(Rows(), says=lambda: True)
    chat(io, handle)
    assert chat(io, handle)[1] == pytest.approx(5)


def test_where_nothing_is_to_come_a_count_is_final() -> None:
    rows = Rows(0.2)
    io, handle = asking(rows, says=lambda: io.time < START + 0.2)
    account, _ = chat(io, handle)
    drive(handle.expect_of_turn(Expected(1, 1), account, None))
    assert io.waited == pytest.approx(0.2, abs=0.03), "there is no second look"
    with pytest.raises(LlmEventsError):
        drive(handle.expect_of_turn(Expected(2), account, None))
    drive(handle.expect_recent(Expected(1, 1), None))
    assert io.waited == pytest.approx(0.2, abs=0.03), "what is missing does not come"
    with pytest.raises(LlmEventsError):
        drive(handle.expect_recent(Expected(2), 3))
    assert io.waited == pytest.approx(3.2, abs=0.03), "but another thread may chat"
