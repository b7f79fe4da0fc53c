"""Who a turn's LLM events are of: names known before, and names without an event."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from counting import BEFORE, account_of, names, ready, turn_of, window_of, windows
from hypothesis import example, given
from hypothesis import strategies as st
from scripted_io import (
    START,
    Took,
    calls_of,
    events,
)

from pytest_hydrasmoke import ContractError
from pytest_hydrasmoke._core.account import (
    read_count,
)
from pytest_hydrasmoke._core.expected import Expected
from pytest_hydrasmoke._core.llm_events import Usage
from pytest_hydrasmoke._core.turn_account import Count
from pytest_hydrasmoke._transport.protocol import drive

OF_A = Expected(providers=names("a"))


SEEN = Count(START, 5, frozenset("ab"))


def test_a_name_known_before_is_looked_for_since_the_turn_began() -> None:
    io, answer = turn_of(OF_A, ready(SEEN), Took(3.5, events(6, *"ab")), events(1, "a"))
    assert windows(io) == [900, 4]
    assert io.sleeps == [pytest.approx(0.48)], "so that 4 whole seconds reach back to the turn"
    assert answer.count == 6

    def of_b(request: Any) -> Any:
        return events(6, *"ab") if "=9" in request.path else events(1, "b")

    _, error = turn_of(OF_A, ready(SEEN), of_b, ..., timeout=5)
    assert error.got == "1 (5 before the turn, 6 now), from b"


def test_names_read_as_the_next_turn_begins_may_be_its_own() -> None:
    it = ready(SEEN)

    def meanwhile(_: Any) -> Any:
        account_of(it).after = Count(START + 2, 6, frozenset("ab"))
        return events(2, *"ab")

    io, error = turn_of(OF_A, it, events(6, *"ab"), meanwhile, events(7, *"ab"))
    assert error.got == (
        "1 (5 before the turn, 6 at the next turn), from no provider, and perhaps from a"
    )
    assert len(io.sent) == 3


def test_a_window_longer_than_it_was_asked_for_tells_no_name() -> None:
    it = ready(replace(SEEN, at=START - 9.5), born=START - 20)
    io, calls = calls_of(it, llm_events=[events(6, *"ab"), events(6, "a", window=900)])
    with pytest.raises(ContractError) as caught:
        drive(Usage(calls, it, 30).of_turn(OF_A, account_of(it)))
    assert caught.value.expected == "window_seconds: 10, back to the turn's start"
    assert caught.value.got == "window_seconds: 900"
    assert len(io.sent) == 2


@given(st.floats(0, 1e5))
@example(0.0)
@example(0.98)
@example(1.98)
@example(3.9999999)
def test_the_window_since_the_turn_reaches_back_to_it_and_hardly_further(elapsed: float) -> None:
    it = ready(SEEN)
    io, calls = calls_of(it, llm_events=[events(6, *"ab"), events(1, "a")])
    io.time += elapsed
    drive(Usage(calls, it, 30).of_turn(OF_A, account_of(it)))
    since, window = io.sent[1].at - START, windows(io)[1]
    assert window >= since - 1e-9
    assert window - since == pytest.approx(0.02, abs=1e-6)
    assert window <= math.ceil(elapsed + 0.02)


UNEXPLAINED = "llm_events names more providers than it counts LLM events"


@pytest.mark.parametrize(
    ("before", "now", "expected", "got"),
    [
        (Count(START), events(1, "b", "a"), "no more than 1: an LLM event of each", "2: a, b"),
        (Count(START), events(0, "a"), "no more than 0: an LLM event of each", "1: a"),
        (BEFORE, events(6, *"abc"), "no more than 1: an LLM event of each", "2: b, c"),
        (BEFORE, events(5, *"ab"), "no more than 0: an LLM event of each", "1: b"),
        (BEFORE, events(4, *"ab"), "no more than 0: an LLM event of each", "1: b"),
    ],
)
def test_a_provider_without_an_event_breaks_the_contract(
    before: Count, now: Any, expected: str, got: str
) -> None:
    with pytest.raises(ContractError) as caught:
        turn_of(Expected(0, providers=names("b")), ready(before), now, ...)
    since = "" if before.count == 0 else " since 5 were counted"
    assert caught.value.message == UNEXPLAINED + since
    assert (caught.value.expected, caught.value.got) == (expected, got)
    assert caught.value.phase == "llm_events"


def test_so_it_does_wherever_it_is_read() -> None:
    with pytest.raises(ContractError, match=UNEXPLAINED):
        window_of(Expected(), events(1, *"ab"), ...)
    with pytest.raises(ContractError, match=UNEXPLAINED):
        turn_of(OF_A, ready(SEEN), events(6, *"ab"), events(1, *"ab"), ...)
    after = Count(START + 50, 6, frozenset("abc"))
    with pytest.raises(ContractError, match=UNEXPLAINED):
        turn_of(Expected(), ready(BEFORE, after), events(8, *"abc"))
    it = ready()
    _, calls = calls_of(it, llm_events=[events(0, "a"), ...])
    assert drive(read_count(calls, it, 5)).error == UNEXPLAINED
