"""When an account begins: what a turn waits for, and what is said where it can't be certain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from core_tools import (
    DONE,
    HI,
    LOG,
    Rows,
    begin,
    chat,
    chatting,
    counting,
    doubted,
    end,
    fails,
    know,
    ready,
)
from scripted_io import (
    ID,
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

import pytest_hydrasmoke as hydra
from pytest_hydrasmoke._core.account import Count, TurnAccount
from pytest_hydrasmoke._core.expected import Expected
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.policy import KnownRouter
from pytest_hydrasmoke._core.settling import ENOUGH, LEAST, USUAL
from pytest_hydrasmoke._journal.events import Doing
from pytest_hydrasmoke._transport.protocol import drive


def known() -> Instance:
    """Return an instance of a run that has seen enough rows in time."""
    it = ready()
    know(it, longest=0.2, in_time=ENOUGH)
    it.target.run_turns._lags[it.target.spec_name] = it.target.settling.lags
    return it


def test_a_turn_waits_until_the_one_before_is_settled() -> None:
    chats = [stream(HI + DONE), stream(Took(0.9, HI + DONE)), stream(HI + DONE), stream(HI + DONE)]
    told: list[Doing] = []
    it = ready(keeper=Listening(doing=told.append))
    io, handle = chatting(Rows(1.5), it, chats, chat_timeout=1.0, llm_events_timeout=8.0)
    first, waited = chat(io, handle)
    assert waited == 0.0
    over, told[:] = io.time, []
    second, waited = chat(io, handle)
    assert waited == pytest.approx(5.9), "nobody has watched a turn before"
    assert (first.before.count, second.before.count, first.after) == (0, 1, second.before)
    assert told[:2] == [Doing("llm_events", over + 8), Doing(None)], "who watches is told"
    assert set(it.phases) == {"first_event", "turn"}
    assert it.phases["turn"] == pytest.approx(0.9), "the wait is no part of the chat's time"
    assert doubted(handle, second)[0].startswith("0 (1 before")
    io.time += 3
    assert chat(io, handle)[1] == pytest.approx(4.0), "what has passed since the end counts"
    io.time += 8
    assert chat(io, handle)[1] == 0.0, "a slow test waits for nothing"


def test_once_rows_of_five_turns_were_in_time_back_to_back_turns_wait_a_second() -> None:
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
    assert waits == pytest.approx([0, *[5] * (ENOUGH - 1), *[LEAST] * (20 - ENOUGH)])
    assert max(reads[1:ENOUGH]) < 45
    assert max(reads[ENOUGH:]) <= 7
    assert counts == list(range(20))


def test_a_turn_that_has_left_exactly_what_is_expected_owes_nothing() -> None:
    rows = Rows()
    io, handle = chatting(rows)
    for number in range(3):
        account, waited = chat(io, handle)
        assert (account.before.count, waited) == (number, 0.0)
        rows.at.append(io.time - START + 0.2)
        ended = io.time
        drive(handle.expect(Expected(1, 1), None, account))
        assert io.time - ended == pytest.approx(5.0, abs=0.3), "as long as others may come"
    # What comes after all is waited for again, and known to be late.
    rows.at.append(io.time - START + 0.1)
    io.time += 0.2
    account, waited = chat(io, handle)
    assert handle.instance.target.settling.lags.longest == pytest.approx(5.0, abs=0.3)
    assert account.before.count == 4
    assert "usage_settle is 5 s" in doubted(handle, account)[0]


def test_an_expectation_that_is_not_exact_promises_nothing() -> None:
    rows = Rows(0.2)
    io, handle = chatting(rows)
    for wanted in (Expected(), Expected(0, 2)):
        account, _ = chat(io, handle)
        rows.at.append(io.time - START + 0.2)
        drive(handle.expect(wanted, None, account))
        passed = 5.2 if wanted.bounded else 0.2
        assert chat(io, handle)[1] == pytest.approx(max(5 - passed, 0), abs=0.3)
        rows.at.append(io.time - START + 0.2)
        io.time += 10


TOO_LONG = {"detail": [{"loc": ["body", "message"], "msg": "too long", "type": "x"}]}
BROKEN: dict[str, tuple[Any, type[hydra.HydraSmokeError], str]] = {
    # What becomes of a second turn, what is raised, and how it ended for those who wait.
    "500": (reply(500, {"detail": "no"}), hydra.RouterError, "failed"),
    "lost": (lost(), hydra.TransportError, "failed"),
    "no stream": (reply(200, {"no": "stream"}), hydra.ContractError, "failed"),
    "a timeout": (stream(HI, Took(200)), hydra.ChatTimeoutError, "failed"),
    "an error": (stream(b'data: {"error": "no"}\n\n'), hydra.ChatError, "failed"),
    # One that was refused was none.
    "422": (reply(422, TOO_LONG), hydra.RejectedError, "ended"),
    "503": (reply(503), hydra.ChatTimeoutError, "ended"),
    "no connection": (refused(), hydra.TransportError, "ended"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_after_a_turn_that_failed_all_is_waited(name: str) -> None:
    answer, kind, how = BROKEN[name]
    it = known()
    io, handle = chatting(Rows(0.1), it, [stream(HI + DONE), answer, stream(HI + DONE)])
    chat(io, handle)
    io.time += 1
    fails(kind, handle.chat("hello", 0.1))
    assert it.target.settling.last is not None
    assert (it.target.settling.last.how, it.target.settling.number) == (how, 1 + (how == "failed"))
    assert chat(io, handle)[1] == pytest.approx(5.0 if how == "failed" else 0.0)


@pytest.mark.parametrize("settle", [5.0, 2.0])
def test_a_turn_left_early_is_waited_for_to_the_end(settle: float) -> None:
    io, handle = chatting(Rows(0.1), known(), usage_settle=settle)
    turn = handle.turn("hello", None)
    drive(turn.open())
    drive(turn.next())
    drive(turn.close())
    before = len(io.calls_sent("llm_events"))
    assert chat(io, handle)[1] == pytest.approx(settle)
    assert len(io.calls_sent("llm_events")) - before == 2, "one look, a wait, and the count"


BEFORE = "LLM events of the turn before, of test_a.py::test_x, may be among them: "


def test_after_three_turns_without_a_row_nothing_is_waited_for_and_nothing_is_told() -> None:
    rows = Rows()
    io, handle = chatting(rows)
    handle.instance.target.run_turns.stage.test = "test_a.py::test_x"
    turns = [chat(io, handle) for _ in range(6)]
    assert [waited for _, waited in turns] == pytest.approx([0, 30, 30, 30, 0, 0])
    assert doubted(handle, turns[5][0], Expected(0, 0)) == (
        f"{BEFORE}the 3 turns before left none, so there was no wait",
        "see why the agent's usage is not recorded",
    )
    # As soon as one is seen, there is something to wait for again.
    rows.at.append(io.time - START)
    io.time += 0.1
    assert chat(io, handle)[1] == pytest.approx(4.9)


def test_a_row_that_comes_while_nobody_knows_when_they_come_is_no_other_turns() -> None:
    rows = Rows(4.0)
    io, handle = chatting(rows)
    chat(io, handle)
    rows.at.clear()  # It begins a new conversation, and leaves none.
    account, waited = chat(io, handle)
    assert waited == 30.0
    rows.at.append(io.time - START + 4)
    drive(handle.expect(Expected(1, 1), None, account))


def test_without_a_wait_an_account_in_doubt_is_an_error_that_names_the_test() -> None:
    rows = Rows(1.5)
    io, handle = chatting(rows, usage_settle=0.0)
    handle.instance.target.run_turns.stage.test = "test_a.py::test_x"
    turns = [chat(io, handle) for _ in range(2)]
    assert [waited for _, waited in turns] == [0, 0]
    io.time += 2
    for wanted in (Expected(), Expected(0), Expected(1, 1)):
        assert doubted(handle, turns[1][0], wanted) == (
            f"{BEFORE}there was no wait",
            "set HYDRA_SMOKE_USAGE_SETTLE to more than 0",
        )
    assert "some may be missing" in doubted(handle, turns[0][0], Expected(0, 0))[0]
    # What the default would have waited for has passed by itself.
    for wait in (30, USUAL):
        io.time += wait
        account, _ = chat(io, handle)
        rows.at.append(io.time - START)
        drive(handle.expect(Expected(), None, account))


def test_events_known_to_come_later_than_is_waited_are_an_error() -> None:
    io, handle = chatting(Rows(8.0))
    account, _ = chat(io, handle)
    drive(handle.expect(Expected(), None, account))
    chat(io, handle)
    account, waited = chat(io, handle)
    assert waited == pytest.approx(5)
    got, step = doubted(handle, account, Expected(0))
    before = BEFORE.replace("test_a.py::test_x", "(no test)")
    assert got.startswith(f"{before}an event of this run came 7.")
    assert got.endswith("usage_settle is 5 s, and this turn began 5.0 s after the one before")
    assert step.startswith("raise HYDRA_SMOKE_USAGE_SETTLE to 1")


@pytest.mark.parametrize("away", [0.0, 3.0])
def test_a_turn_whose_end_was_seen_late_measures_nothing(away: float) -> None:
    rows = Rows(0.2)
    io, handle = chatting(rows)

    async def read() -> TurnAccount:
        turn = handle.turn("hello", None)
        await turn.open()
        while await turn.next() is not None:
            io.time += away
        await turn.close()
        return turn.account

    account = drive(read())
    drive(handle.expect(Expected(1), None, account))
    chat(io, handle)
    assert handle.instance.target.settling.lags.in_time == (away == 0.0)


def test_a_count_that_can_not_be_read_ends_the_wait_and_is_told() -> None:
    doing: list[Doing] = []
    it = ready(keeper=Listening(doing=doing.append))
    begin(it, 0, START)
    end(it, START)
    io, calls = calls_of(it, llm_events=[events(0), reply(401)])
    baseline = drive(counting(calls, it).before_turn())
    assert baseline == Count(io.time, error="llm_events was refused with 401")
    assert doing[-1:] == [Doing(None)]


def test_a_wait_that_is_interrupted_leaves_everything_as_it_was() -> None:
    async def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    io, handle = chatting(Rows())
    chat(io, handle)
    before, doing = handle.instance.target.settling, list[Doing]()
    handle.instance.keeper = Listening(doing=doing.append)
    io.sleep = interrupted  # type: ignore[method-assign]
    fails(KeyboardInterrupt, handle.chat("hello", None))
    del io.sleep
    assert handle.instance.target.settling.number == before.number
    assert doing[-1:] == [Doing(None)]
    assert chat(io, handle)[1] == pytest.approx(30)


def asking(rows: Rows, says: Callable[[], bool]) -> tuple[ScriptedIO, Handle]:
    return chatting(rows, router=KnownRouter(to_come=lambda it: it == ID and says()))


def test_where_nothing_is_to_come_the_next_chat_begins_and_a_count_is_final() -> None:
    rows = Rows()
    io, handle = asking(rows, lambda: any(io.time < START + at for at in rows.at))
    for number in range(4):
        account, waited = chat(io, handle)
        assert (account.before.count, account.before.doubt) == (number, None)
        assert waited == pytest.approx(0.2 if number else 0.0, abs=0.02)
        rows.at.append(io.time - START + 0.2)
    start = io.time
    drive(handle.expect(Expected(1, 1), None, account))
    assert io.time - start == pytest.approx(0.2, abs=0.05), "there is no second look"
    start = io.time
    error = fails(hydra.LlmEventsError, handle.expect(Expected(2), None, account))
    assert error.next_step == f"{LOG}: a longer wait does not help"
    drive(handle.expect(Expected(4, 4), None))
    assert io.time == start, "what is missing does not come"
    fails(hydra.LlmEventsError, handle.expect(Expected(5), 3))
    assert io.time - start == pytest.approx(3, abs=0.03), "but another thread may chat"


def test_what_may_come_for_ever_is_waited_for_as_from_any_router() -> None:
    io, handle = asking(Rows(), lambda: True)
    chat(io, handle)
    assert chat(io, handle)[1] == pytest.approx(30)
