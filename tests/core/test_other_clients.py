"""Accounts beside other clients, and of routers that count wrongly."""

from __future__ import annotations

import math
from typing import Any

import pytest
from accounting import Rows, chat, chatting, ready
from scripted_io import (
    START,
    ScriptedIO,
    attached,
    calls_of,
    events,
)
from turns_told import begin, end

from pytest_hydrasmoke import (
    ConfigError,
    ContractError,
    LlmEventsError,
)
from pytest_hydrasmoke._core.expected import Expected
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.turn_account import Count, TurnAccount
from pytest_hydrasmoke._transport.protocol import drive


def test_a_turn_of_another_client_closes_an_account() -> None:
    io, handle = chatting(Rows(0.1))
    account, _ = chat(io, handle)
    begin(handle.record, None, io.time)
    with pytest.raises(LlmEventsError) as caught:
        drive(handle.expect_of_turn(Expected(), account, None))
    assert caught.value.got == "another client has chatted since the turn"
    assert "before the next chat" in (caught.value.next_step or "")


def test_events_before_the_first_turn_of_the_run_are_another_runs() -> None:
    io, handle = chatting(Rows(-1.0))
    for _ in range(2):
        with pytest.raises(ConfigError) as caught:
            chat(io, handle)
        assert str(caught.value) == (
            "the instance had 1 LLM events before this run's first chat: something else has "
            "chatted with it, or its agent calls a model by itself\n"
            f"  instance:  {handle.record.name}\n"
            "  next step: give each shard a HYDRA_SMOKE_RUN_ID of its own, and chat only with this "
            "run's fixtures: it can't know of other clients"
        )
    assert not io.calls_sent("chat"), "nothing was said"
    assert handle.record.chats == 0
    # No other run has a random run id.
    handle.record.key = "smoke-0123456789ab-0"
    with pytest.raises(ConfigError) as caught:
        chat(io, handle)
    step = "chat only with this run's fixtures: it can't know of other clients"
    assert caught.value.next_step == step


@pytest.mark.parametrize(("at", "waits"), [(-1.5, 0.0), (-0.5, 1.0), (0.0, 2.0)])
def test_an_attached_instance_may_have_been_used_by_anybody(at: float, waits: float) -> None:
    rows = Rows(-900.0, at)
    io, handle = chatting(rows, it=attached())
    account, waited = chat(io, handle)
    # Windows have whole seconds: at the edge of the first one there must be nothing.
    assert (account.before.count, waited) == (0, waits)
    for rest in (0.1, 0.5, 0.9):
        rows.at.append(io.time - START)
        io.time += 20 + rest
        drive(handle.expect_of_turn(Expected(1, 1), account, None))
        account, _ = chat(io, handle)
    asked = [int(it.request.path.rpartition("=")[2]) for it in io.sent if "=" in it.request.path]
    assert max(asked) < 100, "it asks back to its own start"


def test_an_attached_instance_that_others_use_all_the_time_has_no_account() -> None:
    io, handle = chatting(Rows(*[it / 2 for it in range(-4, 60)]), it=attached())
    account, waited = chat(io, handle)
    assert waited == pytest.approx(5.0)
    with pytest.raises(LlmEventsError) as caught:
        drive(handle.expect_of_turn(Expected(), account, None))
    assert caught.value.got == "LLM events of another client come in all the time"


def test_after_a_turn_of_another_client_events_are_nobody_elses_and_waited_for() -> None:
    io, handle = chatting(Rows(0.5))
    begin(handle.record, None, io.time)
    end(handle.record, io.time)
    io.time += 1
    assert chat(io, handle)[1] == pytest.approx(4)


# --- routers that count wrongly --------------------------------------------------------------


def test_a_window_shorter_than_the_instances_age_is_no_account() -> None:
    rows = Rows(1.0, most=10)
    io, handle = chatting(rows)
    chat(io, handle)
    io.time += 8
    account, _ = chat(io, handle)
    rows.at += [8.5, 8.6]
    io.time += 3.2
    # The first turn's row has left the window: of two rows only one would be counted.
    with pytest.raises(ContractError) as caught:
        drive(handle.expect_of_turn(Expected(1, 1), account, None))
    assert str(caught.value) == (
        "llm_events answered for a shorter window than it was asked for\n"
        "  phase:     llm_events, after 0.0 s\n"
        f"  instance:  {handle.record.name}\n"
        "  expected:  window_seconds of 11 or more, back to the instance's first turn\n"
        "  got:       window_seconds: 10\n"
        "  next step: tell the router's developers: no turn's LLM events can be counted so"
    )
    account, _ = chat(io, handle)
    rows.most = math.inf
    with pytest.raises(LlmEventsError) as missing:
        drive(handle.expect_of_turn(Expected(0), account, None))
    assert "no count to compare with: llm_events answered" in (missing.value.got or "")


def test_an_attached_run_needs_no_more_than_its_own_time() -> None:
    io, handle = chatting(Rows(0.5, most=60), it=attached())
    account, _ = chat(io, handle)
    io.time += 55
    drive(handle.expect_of_turn(Expected(1, 1), account, None))
    io.time += 10
    with pytest.raises(ContractError):
        drive(handle.expect_of_turn(Expected(1, 1), account, None))


@pytest.mark.parametrize(("back", "waits"), [(2.5, 3.0), (60.0, 5.0)])
def test_a_count_that_goes_down_is_no_baseline(back: float, waits: float) -> None:
    class Stale(Rows):
        def __call__(self, request: Any) -> Any:
            if 10 <= self.io.time - START < 10 + back:
                return events(0)
            return super().__call__(request)

    rows = Stale(1.0)
    io, handle = chatting(rows)
    account, _ = chat(io, handle)
    drive(handle.expect_of_turn(Expected(), account, None))
    io.time = START + 10
    account, waited = chat(io, handle)
    assert waited == pytest.approx(waits)
    if waits < 5:
        assert account.before.count == 1
        return
    with pytest.raises(LlmEventsError) as caught:
        drive(handle.expect_of_turn(Expected(0), account, None))
    assert caught.value.got == "the count of LLM events went down, from 1 to 0"


# --- nobody else -----------------------------------------------------------------------------


def of_turn(wanted: Expected, it: InstanceRecord, *script: Any) -> tuple[ScriptedIO, Any]:
    io, calls = calls_of(it, llm_events=script)
    try:
        assert it.account is not None
        handle = Handle(calls, it, Policy(), Reading())
        return io, drive(handle.expect_of_turn(wanted, it.account, 5))
    except LlmEventsError as error:
        return io, error


def before(count: int, names: str, after: Count | None = None) -> InstanceRecord:
    return ready(account=TurnAccount(Count(START, count, frozenset(names)), after))


ONLY_A = Expected(providers=frozenset("a"), only=True)


def test_only_is_looked_at_twice() -> None:
    io, answer = of_turn(ONLY_A, before(0, ""), events(1, "a"), events(1, "a"))
    assert (answer.count, io.sleeps) == (1, [2.0])


@pytest.mark.parametrize("script", [[events(2, "a", "b")], [events(1, "a"), events(2, "a", "b")]])
def test_a_stranger_is_told_at_once_and_no_wait_mends_it(script: list[Any]) -> None:
    _, error = of_turn(ONLY_A, before(0, ""), *script)
    assert error.got == "2 (0 before the turn, 2 now), from a, b"
    assert error.expected == "at least 1 LLM event, from a and no other"
    assert error.next_step == "see the agent's log of this turn: a longer wait does not help"


def test_a_stranger_known_before_is_looked_for_since_the_turn_began() -> None:
    def answer(request: Any) -> Any:
        return events(6, "a", "b") if "=9" in request.path else events(1, *since)

    since = "a"
    _, fine = of_turn(ONLY_A, before(5, "ab"), answer, ...)
    assert fine.count == 6
    since = "b"
    _, error = of_turn(ONLY_A, before(5, "ab"), answer, ...)
    assert error.got == "1 (5 before the turn, 6 now), from b"


@pytest.mark.parametrize("wanted", [ONLY_A, Expected(providers=frozenset("a"))], ids=str)
def test_who_it_was_can_not_be_told_once_the_next_turn_has_begun(wanted: Expected) -> None:
    after = Count(START + 9, 6, frozenset("ab"))
    io, error = of_turn(wanted, before(5, "ab", after), events(9, "a", "b"))
    assert error.got == (
        "1 (5 before the turn, 6 at the next turn), from no provider, and perhaps from "
        + ("a, b" if wanted.only else "a")
    )
    assert error.next_step == "expect a turn's LLM events before the next chat on its instance"
    assert len(io.sent) == 1, "what came since would be the next turn's as well"


def test_none_of_the_last_900_s_may_be_a_strangers() -> None:
    io, calls = calls_of(ready(), llm_events=[events(2, "a", "b"), ...])
    handle = Handle(calls, ready(), Policy(), Reading())
    with pytest.raises(LlmEventsError) as caught:
        drive(handle.expect_recent(ONLY_A, None))
    assert caught.value.next_step == (
        "count a turn's own (its expect_llm_events): a longer wait does not help"
    )
    assert io.waited == 0
