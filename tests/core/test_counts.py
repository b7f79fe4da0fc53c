"""Counts of LLM events: their windows, other clients, and those that fail or prove nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from core_tools import (
    BEFORE,
    Rows,
    account_of,
    begin,
    chat,
    chatting,
    count_turn,
    count_window,
    counted,
    counting,
    doubted,
    end,
    fails,
    until_met,
    windows,
)
from scripted_io import START, Took, attached, calls_of, events, late, lost, reply

from pytest_hydrasmoke import ConfigError, ContractError, LlmEventsError
from pytest_hydrasmoke._core.account import Count, TurnAccount
from pytest_hydrasmoke._core.counting import YEAR, life_window
from pytest_hydrasmoke._core.expected import Expected
from pytest_hydrasmoke._transport.protocol import drive

B, AB = frozenset("b"), frozenset("ab")
SEEN = Count(START, 5, AB)
OF_A = Expected(providers=frozenset("a"))
NO_COUNT = Count(START, error="llm_events was refused with 500")


@pytest.mark.parametrize("baselines", [(NO_COUNT,), (BEFORE, NO_COUNT)], ids=["own", "next"])
def test_a_baseline_that_was_not_read_is_never_no_events(baselines: tuple[Count, ...]) -> None:
    _, error = count_turn(Expected(0), counted(*baselines), events(9, "a"))
    assert error.got == "no count to compare with: llm_events was refused with 500"
    assert error.next_step == "find out why that read failed: it is not repeated"


@pytest.mark.parametrize(
    "step", [reply(401, {"detail": "no"}), reply(200, b"{}"), reply(500), lost(), late()], ids=repr
)
def test_a_failed_read_is_never_no_events(step: Any) -> None:
    for wanted in (Expected(), Expected(0), Expected(0, 0)):
        of_turn = count_turn(wanted, counted(BEFORE), step, ...)
        for _, error in (of_turn, count_window(wanted, step, ...)):
            assert isinstance(error, LlmEventsError)
            assert error.message.startswith("LLM events can't be counted: llm_events")
            assert error.phase == "llm_events"
            assert error.__context__ is None
            if isinstance(step, type(reply(401))) and step.status == 401:
                assert error.message.endswith("was refused with 401: no")
                assert "check HYDRA_SMOKE_TOKEN" in str(error.next_step)


def test_a_window_longer_than_it_was_asked_for_tells_no_name() -> None:
    it = counted(replace(SEEN, at=START - 9.5), born=START - 20)
    io, calls = calls_of(it, llm_events=[events(6, *"ab"), events(6, "a", window=900)])
    error = fails(ContractError, until_met(OF_A, it, calls, 30, account_of(it)))
    assert error.expected == "window_seconds: 10, back to the turn's start"
    assert error.got == "window_seconds: 900"
    assert len(io.sent) == 2


UNEXPLAINED = "llm_events names more providers than it counts LLM events"
OF_EACH = "no more than {}: an LLM event of each"


@pytest.mark.parametrize(
    ("before", "now", "most", "got"),
    [
        (Count(START), events(1, "b", "a"), 1, "2: a, b"),
        (BEFORE, events(6, *"abc"), 1, "2: b, c"),
        (BEFORE, events(5, *"ab"), 0, "1: b"),
        (BEFORE, events(4, *"ab"), 0, "1: b"),
    ],
)
def test_a_provider_without_an_event_breaks_the_contract(
    before: Count, now: Any, most: int, got: str
) -> None:
    with pytest.raises(ContractError) as caught:
        count_turn(Expected(0, providers=B), counted(before), now, ...)
    since = "" if before.count == 0 else " since 5 were counted"
    assert caught.value.message == UNEXPLAINED + since
    assert (caught.value.expected, caught.value.got) == (OF_EACH.format(most), got)
    assert caught.value.phase == "llm_events"


def test_so_it_does_wherever_it_is_read() -> None:
    with pytest.raises(ContractError, match=UNEXPLAINED):
        count_window(Expected(), events(1, *"ab"), ...)
    with pytest.raises(ContractError, match=UNEXPLAINED):
        count_turn(OF_A, counted(SEEN), events(6, *"ab"), events(1, *"ab"), ...)
    after = Count(START + 50, 6, frozenset("abc"))
    with pytest.raises(ContractError, match=UNEXPLAINED):
        count_turn(Expected(), counted(BEFORE, after), events(8, *"abc"))
    _, calls = calls_of(it := counted(), llm_events=[events(0, "a"), ...])
    assert drive(counting(calls, it).now(5)).error == UNEXPLAINED


def test_a_window_reaches_back_beyond_the_instances_birth_or_a_year() -> None:
    asked = {0: 900, 0.1: 901, 1: 901, 1.5: 902, 86400: 87300}
    assert {age: life_window(counted(), START + age) for age in asked} == asked
    it = counted(BEFORE, born=START - 1000.5)
    io, _ = count_turn(Expected(), it, events(5), Took(3, events(5)), events(6, "a"))
    assert windows(io) == [1901, 1901, 1905]
    it = attached()
    it.target.account = TurnAccount(BEFORE)
    io, answer = count_turn(Expected(), it, events(6, "a"))
    assert (answer.count, windows(io)) == (6, [YEAR])
    assert YEAR == 365 * 24 * 3600


def test_a_baseline_is_what_was_counted_when_its_answer_was_there() -> None:
    it = counted()
    io, calls = calls_of(it, llm_events=[Took(2, events(4, *"aba")), Took(1, reply(401))])
    io.time += 100
    assert drive(counting(calls, it).now(30)) == Count(START + 102, 4, AB)
    assert (windows(io), io.sent[0].deadline) == ([1000], START + 130)
    failed = Count(START + 103, error="llm_events was refused with 401")
    assert drive(counting(calls, it).now(30)) == failed


def test_the_recent_window_is_the_routers_default_and_has_everything_and_everyone() -> None:
    wanted = Expected(2, 3, AB)
    io, answer = count_window(wanted, events(1, "a"), events(2, *"ab"), events(3, *"ba"))
    assert (answer.count, io.sleeps, windows(io)) == (3, [0.25, 2.0], [900] * 3)
    _, error = count_window(Expected(3), events(2, *"ba"), ..., timeout=3)
    assert error.got == "2 in the last 900 s, from a, b"
    assert error.expected == "at least 3 LLM events"
    io, error = count_window(Expected(providers=frozenset("a"), only=True), events(2, *"ab"))
    step = "count a turn's own (its expect_llm_events): a longer wait does not help"
    assert (error.next_step, io.waited) == (step, 0)


def test_a_turn_of_another_client_closes_an_account_and_is_waited_for() -> None:
    io, handle = chatting(Rows(0.1))
    account, _ = chat(io, handle)
    begin(handle.instance, None, io.time)
    assert doubted(handle, account) == (
        "another client has chatted since the turn",
        "expect a turn's LLM events before the next chat on its instance",
    )
    end(handle.instance, io.time)
    io.time += 1
    assert chat(io, handle)[1] == pytest.approx(4)


def test_events_before_the_first_turn_of_the_run_are_another_runs() -> None:
    io, handle = chatting(Rows(-1.0))
    step = "chat only with this run's fixtures: it can't know of other clients"
    for _ in range(2):
        assert str(fails(ConfigError, handle.chat("hello", None))) == (
            "the instance had 1 LLM events before this run's first chat: something else has "
            "chatted with it, or its agent calls a model by itself\n"
            f"  instance:  {handle.instance.name}\n"
            f"  next step: give each shard a HYDRA_SMOKE_RUN_ID of its own, and {step}"
        )
    assert not io.calls_sent("chat"), "nothing was said"
    assert handle.instance.chats.times == 0
    # No other run has a random run id.
    handle.instance.key = "smoke-0123456789ab-0"
    assert fails(ConfigError, handle.chat("hello", None)).next_step == step


@pytest.mark.parametrize(("at", "waits"), [(-1.5, 0.0), (-0.5, 1.0), (0.0, 2.0)])
def test_an_attached_instance_may_have_been_used_by_anybody(at: float, waits: float) -> None:
    rows = Rows(-900.0, at)
    io, handle = chatting(rows, attached())
    account, waited = chat(io, handle)
    # Windows have whole seconds: at the edge of the first one there must be nothing.
    assert (account.before.count, waited) == (0, waits)
    for rest in (0.1, 0.5, 0.9):
        rows.at.append(io.time - START)
        io.time += 20 + rest
        drive(handle.expect(Expected(1, 1), None, account))
        account, _ = chat(io, handle)
    asked = [int(it.request.path.rpartition("=")[2]) for it in io.sent if "=" in it.request.path]
    assert max(asked) < 100, "it asks back to its own start"


def test_an_attached_instances_count_that_comes_late_is_asked_for_again() -> None:
    slow, it = Took(3, events(4, "a")), attached()
    it.since = START
    io, calls = calls_of(it, llm_events=[slow, events(6, "a")])
    io.time += 10.5
    # By now the window of the first one begins after the run's first turn.
    assert drive(counting(calls, it).now(30)).count == 6
    assert windows(io) == [11, 14]
    io, calls = calls_of(it, llm_events=[slow, ...])
    why = "the router's answers came more than 1 s after they were asked for"
    assert drive(counting(calls, it).now(6.5)).error == why


def test_an_attached_instance_that_others_use_all_the_time_has_no_account() -> None:
    io, handle = chatting(Rows(*[it / 2 for it in range(-4, 60)]), attached())
    account, waited = chat(io, handle)
    assert waited == pytest.approx(5.0)
    assert doubted(handle, account) == (
        "LLM events of another client come in all the time",
        "attach to an instance that nobody else uses",
    )


def test_a_window_shorter_than_the_instances_age_is_no_account() -> None:
    rows = Rows(1.0, most=10)
    io, handle = chatting(rows)
    chat(io, handle)
    io.time += 8
    account, _ = chat(io, handle)
    rows.at += [8.5, 8.6]
    io.time += 3.2
    # The first turn's row has left the window: of two rows only one would be counted.
    assert str(fails(ContractError, handle.expect(Expected(1, 1), None, account))) == (
        "llm_events answered for a shorter window than it was asked for\n"
        "  phase:     llm_events, after 0.0 s\n"
        f"  instance:  {handle.instance.name}\n"
        "  expected:  window_seconds of 11 or more, back to the instance's first turn\n"
        "  got:       window_seconds: 10\n"
        "  next step: tell the router's developers: no turn's LLM events can be counted so"
    )
    account, _ = chat(io, handle)
    rows.most = math.inf
    got, _ = doubted(handle, account, Expected(0))
    assert got.startswith("no count to compare with: llm_events answered")
    # One that is attached needs no more than the run's own time.
    io, handle = chatting(Rows(0.5, most=60), attached())
    account, _ = chat(io, handle)
    io.time += 55
    drive(handle.expect(Expected(1, 1), None, account))
    io.time += 10
    fails(ContractError, handle.expect(Expected(1, 1), None, account))


@pytest.mark.parametrize(("back", "waits"), [(2.5, 3.0), (60.0, 5.0)])
def test_a_count_that_goes_down_is_no_baseline(back: float, waits: float) -> None:
    class Stale(Rows):
        def __call__(self, request: Any) -> Any:
            if 10 <= self.io.time - START < 10 + back:
                return events(0)
            return super().__call__(request)

    io, handle = chatting(Stale(1.0))
    account, _ = chat(io, handle)
    drive(handle.expect(Expected(), None, account))
    io.time = START + 10
    account, waited = chat(io, handle)
    assert waited == pytest.approx(waits)
    if waits < 5:
        assert account.before.count == 1
    else:
        told = doubted(handle, account, Expected(0))
        assert told[0] == "the count of LLM events went down, from 1 to 0"
        assert told[1].startswith("tell the router's developers: a count of one window can only")
