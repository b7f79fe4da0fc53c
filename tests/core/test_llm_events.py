"""LLM events: what a turn added, who added it, and when it is certain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scripted_io import (
    HANG,
    ID,
    START,
    AtDeadline,
    ScriptedIO,
    Took,
    attached,
    calls_of,
    events,
    late,
    lost,
    record,
    refused,
    reply,
)

from pytest_hydrasmoke import ConfigError, ContractError, LlmEventsError
from pytest_hydrasmoke._core.account import (
    RECENT,
    YEAR,
    count_for_recording,
    life_window,
    read_baseline,
)
from pytest_hydrasmoke._core.expected import Expected, expected, maybe_since, surely_since
from pytest_hydrasmoke._core.llm_events import Usage
from pytest_hydrasmoke._core.policy import SECOND_LOOK
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.settle import USUAL
from pytest_hydrasmoke._core.states import State
from pytest_hydrasmoke._core.turn_account import Baseline, TurnAccount
from pytest_hydrasmoke._transport.protocol import drive

LATE = "raise HYDRA_SMOKE_LLM_EVENTS_TIMEOUT if the agent reports its usage late, else see the "
LATE += "agent's log of this turn"


def ready(*baselines: Baseline, born: float | None = START) -> InstanceRecord:
    it = record(state=State.READY, id=ID)
    it.born = born
    if baselines:
        it.account = TurnAccount(*baselines)
    return it


def account_of(it: InstanceRecord) -> TurnAccount:
    assert it.account is not None
    return it.account


def turn_of(
    wanted: Expected, it: InstanceRecord, *steps: Any, timeout: float = 30
) -> tuple[ScriptedIO, Any]:
    """Expect events of a turn, and give what came of it: the last answer, or the error."""
    io, calls = calls_of(it, llm_events=steps)
    try:
        return io, drive(Usage(calls, it, timeout).of_turn(wanted, account_of(it)))
    except LlmEventsError as error:
        return io, error


def window_of(wanted: Expected, *steps: Any, timeout: float = 30) -> tuple[ScriptedIO, Any]:
    """Do the same for the last 900 s."""
    it = ready()
    io, calls = calls_of(it, llm_events=steps)
    try:
        return io, drive(Usage(calls, it, timeout).of_window(wanted))
    except LlmEventsError as error:
        return io, error


def windows(io: ScriptedIO) -> list[int]:
    return [int(sent.request.path.rpartition("=")[2]) for sent in io.sent]


# --- what is expected ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Expected(), "at least 1 LLM event"),
        (Expected(2), "at least 2 LLM events"),
        (Expected(1, 3), "at least 1 and at most 3 LLM events"),
        (Expected(0, 0), "exactly 0 LLM events"),
        (
            Expected(providers=frozenset({"openai", "anthropic"})),
            "at least 1 LLM event, anthropic and openai among them",
        ),
        (
            Expected(2, 2, frozenset({"openai", "anthropic"}), only=True),
            "exactly 2 LLM events, from anthropic and openai and no other",
        ),
    ],
)
def test_an_expectation_says_itself(wanted: Expected, words: str) -> None:
    assert str(wanted) == words


@pytest.mark.parametrize(
    ("wanted", "added", "seen", "met", "too_many"),
    [
        (Expected(), 0, "", False, False),
        (Expected(), 1, "", True, False),
        (Expected(0), 0, "", True, False),
        (Expected(1, 2), 2, "", True, False),
        (Expected(1, 2), 3, "", True, True),
        (Expected(0, 0), 1, "", True, True),
        (Expected(providers=frozenset("a")), 1, "b", False, False),
        (Expected(providers=frozenset("ab")), 2, "abc", True, False),
        (Expected(2, providers=frozenset("a")), 1, "a", False, False),
    ],
)
def test_an_expectation_is_met(
    wanted: Expected, added: int, seen: str, met: bool, too_many: bool
) -> None:
    assert wanted.met(added, set(seen)) is met
    assert wanted.too_many(added) is too_many


def test_what_a_test_expects_is_checked() -> None:
    assert expected() == expected(1) == Expected()
    assert expected(0, 1, ["a", "a"]) == Expected(0, 1, frozenset("a"))
    assert expected(2, 2, {"b"}) == Expected(2, 2, frozenset("b"))
    assert expected(exactly=2) == Expected(2, 2)
    assert expected(exactly=0) == Expected(0, 0)
    assert expected(only=["b", "a"]) == Expected(providers=frozenset("ab"), only=True)
    assert expected(providers={"a"}, only={"a"}) == Expected(providers=frozenset("a"), only=True)


@pytest.mark.parametrize(("least", "most"), [(-1, None), (2, 1), (0, -1), (-2, -1)])
def test_what_nothing_can_meet_is_refused(least: int, most: int | None) -> None:
    with pytest.raises(ConfigError) as caught:
        expected(least, most, None)
    assert str(caught.value) == (
        f"no count can be at least {least} and at most {most}\n"
        "  next step: give 0 <= at_least <= at_most"
    )


@pytest.mark.parametrize("name", ["providers", "only"])
def test_a_name_in_the_place_of_names_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expected(1, None, **{name: "openai"})
    assert str(caught.value) == (
        f"{name}='openai' is a string, not a set of names\n  next step: write {name}={{'openai'}}"
    )


@pytest.mark.parametrize(
    ("wrong", "message", "step"),
    [
        (
            {"exactly": 1, "at_least": 1},
            "exactly=1 can't be combined with at_least or at_most",
            "keep the one you mean",
        ),
        (
            {"exactly": 0, "at_most": 0},
            "exactly=0 can't be combined with at_least or at_most",
            "keep the one you mean",
        ),
        ({"exactly": -1}, "no count is exactly -1", "give 0 or more"),
        (
            {"only": set()},
            "only is empty",
            "name a provider, or give exactly=0 for no events",
        ),
        (
            {"only": ["b", "a"], "providers": ["c"]},
            "only={'a', 'b'} leaves out some of providers={'c'}",
            "add them to only: it needs every provider that may appear",
        ),
        (
            {"at_most": 1, "providers": ["a", "b"]},
            "2 providers can't be among at most 1 LLM event",
            "allow for an event of each",
        ),
        (
            {"exactly": 0, "only": {"a"}},
            "1 providers can't be among at most 0 LLM events",
            "allow for an event of each",
        ),
    ],
    ids=str,
)
def test_contradictions_are_refused(wrong: dict[str, Any], message: str, step: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expected(**wrong)
    assert (caught.value.message, caught.value.next_step) == (message, step)


# --- who it was, from names alone ------------------------------------------------------------

SINCE: list[tuple[str, str, int, str, bool]] = [
    # known before, known now, added, surely among the added, others may be
    ("", "", 0, "", False),
    ("", "a", 1, "a", False),
    ("", "ab", 2, "ab", False),
    ("", "ab", 3, "ab", True),
    ("a", "a", 0, "", False),
    ("a", "a", 1, "a", True),
    ("a", "ab", 1, "b", False),
    ("a", "ab", 2, "b", True),
    ("ab", "ab", 1, "", True),
    ("ab", "abc", 1, "c", False),
    ("ab", "a", 1, "a", True),
    ("a", "aab", 1, "b", False),
    ("aa", "aa", 1, "a", True),
    ("a", "", 1, "", True),
    ("ab", "ab", -1, "", False),
]


@pytest.mark.parametrize(("before", "now", "added", "surely", "maybe"), SINCE)
def test_names_tell_who_must_and_who_may_have_been_added(
    before: str, now: str, added: int, surely: str, maybe: bool
) -> None:
    assert surely_since(before, now, added) == frozenset(surely)
    assert maybe_since(before, now, added) is maybe


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_names_never_accuse_the_innocent(older: Sequence[str], added: Sequence[str]) -> None:
    now = [*older, *added]
    surely = surely_since(older, now, len(added))
    assert surely <= set(added)
    assert set(added) <= surely or maybe_since(older, now, len(added)), "nobody is overlooked"


# --- windows and baselines -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "window"), [(0, 900), (0.1, 901), (1, 901), (1.5, 902), (86400, 87300)]
)
def test_a_window_reaches_back_beyond_the_instances_birth(age: float, window: int) -> None:
    assert life_window(ready(), START + age) == window


def test_a_window_reaches_back_a_year_where_the_age_is_not_known() -> None:
    assert life_window(attached(), START) == YEAR == 365 * 24 * 3600


def test_a_baseline_is_what_was_counted_when_its_answer_was_there() -> None:
    it = ready()
    io, calls = calls_of(it, llm_events=[Took(2, events(4, "a", "b", "a"))])
    io.time += 100
    baseline = drive(read_baseline(calls, it, 30))
    assert baseline == Baseline(START + 102, 4, frozenset("ab"))
    assert windows(io) == [1000]
    assert io.sent[0].deadline == START + 130


def test_a_baseline_that_can_not_be_read_is_kept_as_such() -> None:
    it = ready()
    _, calls = calls_of(it, llm_events=[Took(1, reply(401))])
    baseline = drive(read_baseline(calls, it, 30))
    assert baseline == Baseline(START + 1, error="llm_events was refused with 401")


# --- a turn ----------------------------------------------------------------------------------

BEFORE = Baseline(START, 5, frozenset("a"))


def test_a_turns_events_are_those_beyond_its_baseline() -> None:
    io, answer = turn_of(Expected(), ready(BEFORE), events(6, "a"))
    assert answer.count == 6
    assert windows(io) == [900]
    assert io.sleeps == []


def test_the_window_grows_with_the_instances_age() -> None:
    it = ready(BEFORE, born=START - 1000.5)
    io, _ = turn_of(Expected(), it, events(5), Took(3, events(5)), events(6, "a"))
    assert windows(io) == [1901, 1901, 1905]


def test_events_that_come_late_are_waited_for() -> None:
    it = ready(BEFORE)
    io, answer = turn_of(Expected(2), it, events(5), events(6, "a"), events(7, "a"))
    assert answer.count == 7
    assert io.sleeps == [0.25, 0.25]
    assert it.phases == {"llm_events": 0.5}


def test_a_hiccup_is_passed_over() -> None:
    _, answer = turn_of(Expected(), ready(BEFORE), reply(502), lost(), refused(), events(6, "a"))
    assert answer.count == 6


def test_missing_events_read_so() -> None:
    io, error = turn_of(Expected(2, providers=frozenset("b")), ready(BEFORE), events(6, "a"), ...)
    assert isinstance(error, AssertionError)
    assert str(error) == (
        "the LLM events are not as expected\n"
        "  phase:     llm_events, after 30.0 s\n"
        f"  instance:  {ID} (key night-0)\n"
        "  expected:  at least 2 LLM events, b among them\n"
        "  got:       1 (5 before the turn, 6 now), from a\n"
        f"  next step: {LATE}"
    )
    assert io.waited == pytest.approx(30)


def test_a_provider_that_is_missing_among_enough_events_is_named() -> None:
    wanted = Expected(providers=frozenset("bc"))
    _, error = turn_of(wanted, ready(BEFORE), events(6, "b"), ...)
    assert error.next_step == (
        "enough events came, but none from c: see which providers the agent uses, in its "
        "configuration and its log of this turn; raise HYDRA_SMOKE_LLM_EVENTS_TIMEOUT only if more "
        "events come later"
    )
    # Of no event at all, nobody knows whose it is.
    _, error = turn_of(Expected(0, providers=frozenset("b")), ready(BEFORE), events(5, "a"), ...)
    assert error.next_step == LATE


def test_no_events_at_all_are_from_nobody() -> None:
    _, error = turn_of(Expected(), ready(BEFORE), events(5, "a"), ...)
    assert error.got == "0 (5 before the turn, 5 now), from no provider"


@pytest.mark.parametrize("timeout", [0.6, 1, 4])
def test_a_read_that_hangs_ends_with_the_deadline(timeout: float) -> None:
    io, error = turn_of(Expected(), ready(BEFORE), HANG, timeout=timeout)
    assert isinstance(error, LlmEventsError)
    assert io.waited == pytest.approx(timeout)


def test_a_deadline_that_has_passed_still_grants_one_read() -> None:
    io, answer = turn_of(Expected(), ready(BEFORE), Took(4, events(6, "a")), timeout=0)
    assert answer.count == 6
    assert io.sent[0].deadline == START + 5
    io, error = turn_of(Expected(), ready(BEFORE), events(5), timeout=0)
    assert len(io.sent) == 1
    assert isinstance(error, LlmEventsError)


def test_a_read_at_the_deadline_is_the_last_one() -> None:
    _, error = turn_of(Expected(), ready(BEFORE), AtDeadline(events(5)), timeout=10)
    assert isinstance(error, LlmEventsError)
    assert error.seconds == 10


# --- at most ---------------------------------------------------------------------------------


def test_with_an_upper_bound_there_is_a_second_look_2_s_later() -> None:
    io, answer = turn_of(Expected(1, 1), ready(BEFORE), events(6, "a"), events(6, "a"))
    assert io.sleeps == [SECOND_LOOK] == [2.0]
    assert answer.count == 6


@pytest.mark.parametrize(("longest", "wait"), [(None, 2.0), (0.9, 2.0), (2.3, 4.6), (9.0, USUAL)])
def test_the_second_look_is_no_earlier_than_rows_of_this_run_have_come(
    longest: float | None, wait: float
) -> None:
    it = ready(Baseline(START, 5, frozenset("a"), number=1))
    it.log.begin(5, START)
    it.log.end("ended", START)
    it.log.history = replace(it.log.history, longest=longest)
    io, error = turn_of(Expected(0, 0), it, events(5, "a"), events(6, "a"))
    assert (io.sleeps, error.got) == ([pytest.approx(wait)], "1 (5 before the turn, 6 now), from a")


def test_a_duplicate_that_comes_late_is_caught() -> None:
    io, error = turn_of(Expected(1, 1), ready(BEFORE), events(6, "a"), events(7, "a"))
    assert error.got == "2 (5 before the turn, 7 now), from a"
    assert io.waited == 2


def test_too_many_events_are_told_at_once() -> None:
    io, error = turn_of(Expected(1, 1), ready(BEFORE), events(7, "a"))
    assert error.expected == "exactly 1 LLM event"
    assert error.next_step == "see the agent's log of this turn: a longer wait does not help"
    assert io.sleeps == []


def test_without_an_upper_bound_nothing_is_too_many() -> None:
    io, answer = turn_of(Expected(), ready(BEFORE), events(500, "a"))
    assert (answer.count, io.sleeps) == (500, [])


def test_the_second_look_is_one_look_however_long_the_first_took() -> None:
    script = [events(5), events(6, "a"), events(5), events(6, "a")]
    io, answer = turn_of(Expected(1, 1), ready(BEFORE), *script)
    assert answer.count == 6
    assert io.sleeps[:2] == [0.25, 2.0]
    assert len(io.sent) == 4


def test_none_expected_and_none_there_is_looked_at_twice() -> None:
    io, answer = turn_of(Expected(0, 0), ready(BEFORE), events(5, "a"), events(5, "a"))
    assert (answer.count, io.sleeps) == (5, [2.0])


def test_a_second_look_beyond_the_deadline_is_granted_its_read() -> None:
    io, answer = turn_of(Expected(1, 1), ready(BEFORE), events(6, "a"), events(6, "a"), timeout=1)
    assert answer.count == 6
    assert io.sent[1].deadline == START + 2 + 5


# --- the next turn's baseline ----------------------------------------------------------------

NEXT = Baseline(START + 50, 7, frozenset("a"))


def test_a_turn_ends_where_the_next_one_begins() -> None:
    io, answer = turn_of(Expected(2, 2), ready(BEFORE, NEXT), events(99, "a"), ...)
    assert answer.count == 99
    assert windows(io) == [900], "counted to the next baseline, which no second look changes"
    assert io.sleeps == []


def test_the_last_turn_ends_now() -> None:
    _, error = turn_of(Expected(1, 1), ready(NEXT), events(9, "a"))
    assert error.got == "2 (7 before the turn, 9 now), from a"


def test_events_missing_at_the_next_turns_beginning_are_hopeless() -> None:
    io, error = turn_of(Expected(3), ready(BEFORE, NEXT), events(99, "a"))
    assert error.got == "2 (5 before the turn, 7 at the next turn), from a"
    assert io.sleeps == []


@pytest.mark.parametrize("names", ["a", "ab"])
def test_no_name_comes_after_the_next_turn_has_begun(names: str) -> None:
    wanted = Expected(2, providers=frozenset("b"))
    io, error = turn_of(wanted, ready(BEFORE, NEXT), events(8, *names))
    assert error.got == "2 (5 before the turn, 7 at the next turn), from a"
    assert (len(io.sent), io.sleeps) == (1, [])


def test_too_many_events_at_the_next_turns_beginning_are_told() -> None:
    io, error = turn_of(Expected(1, 1), ready(BEFORE, NEXT), events(7, "a"))
    assert error.got == "2 (5 before the turn, 7 at the next turn), from a"
    assert (len(io.sent), io.sleeps) == (1, [])


def test_a_turn_that_begins_between_two_looks_ends_the_second() -> None:
    it = ready(BEFORE)

    def meanwhile(_: Any) -> Any:
        account_of(it).after = NEXT
        return events(9, "a")

    io, answer = turn_of(Expected(1, 2), it, events(6, "a"), meanwhile)
    assert answer.count == 9
    assert io.sleeps == [SECOND_LOOK]


def test_a_turn_that_begins_while_this_one_is_read_bounds_it() -> None:
    it = ready(BEFORE)

    def meanwhile(_: Any) -> Any:
        account_of(it).after = NEXT
        return events(9, "a")

    _, error = turn_of(Expected(3), it, meanwhile)
    assert error.got == "2 (5 before the turn, 7 at the next turn), from a"


def test_a_later_turns_provider_is_not_this_turns() -> None:
    baselines = (Baseline(START), Baseline(START + 9, 1, frozenset("a")))
    wanted = Expected(providers=frozenset("b"))
    _, error = turn_of(wanted, ready(*baselines), events(2, "a", "b"), ...)
    assert isinstance(error, LlmEventsError)


NO_COUNT = Baseline(START, error="llm_events was refused with 500")


@pytest.mark.parametrize("baselines", [(NO_COUNT,), (BEFORE, NO_COUNT)], ids=["own", "next"])
def test_a_baseline_that_was_not_read_is_never_no_events(baselines: tuple[Baseline, ...]) -> None:
    _, error = turn_of(Expected(0), ready(*baselines), events(9, "a"))
    assert str(error) == (
        "the LLM events are not as expected\n"
        "  phase:     llm_events, after 0.0 s\n"
        f"  instance:  {ID} (key night-0)\n"
        "  expected:  at least 0 LLM events\n"
        "  got:       no count to compare with: llm_events was refused with 500\n"
        "  next step: find out why that read failed: it is not repeated"
    )


@pytest.mark.parametrize(
    "step", [reply(401), reply(404), reply(200, b"{}"), reply(500), lost(), late()], ids=repr
)
@pytest.mark.parametrize("wanted", [Expected(), Expected(0), Expected(0, 0)], ids=str)
def test_a_failed_read_is_never_no_events(wanted: Expected, step: Any) -> None:
    for expect in (window_of, lambda *args: turn_of(args[0], ready(BEFORE), *args[1:])):
        _, error = expect(wanted, step, ...)
        assert isinstance(error, LlmEventsError)
        assert error.message.startswith("LLM events can't be counted: llm_events")
        assert error.phase == "llm_events"
        assert error.__context__ is None


def test_a_failed_read_reads_so() -> None:
    _, error = window_of(Expected(), reply(401, {"detail": "Unauthorized"}))
    assert str(error) == (
        "LLM events can't be counted: llm_events was refused with 401: Unauthorized\n"
        "  phase:     llm_events, after 0.0 s\n"
        f"  instance:  {ID} (key night-0)\n"
        "  next step: check HYDRA_SMOKE_TOKEN (else OPS_BEARER_TOKEN): is it this environment's "
        "token?"
    )


# --- providers -------------------------------------------------------------------------------


def test_a_new_name_needs_no_second_request() -> None:
    io, _ = turn_of(Expected(providers=frozenset("b")), ready(BEFORE), events(6, "a", "b"))
    assert len(io.sent) == 1


def test_the_only_name_needs_no_second_request() -> None:
    io, _ = turn_of(Expected(providers=frozenset("a")), ready(BEFORE), events(6, "a"))
    assert len(io.sent) == 1


def test_a_name_known_before_is_looked_for_since_the_turn_began() -> None:
    before = Baseline(START, 5, frozenset("ab"))
    script = [Took(3.5, events(6, "a", "b")), events(1, "a")]
    io, answer = turn_of(Expected(providers=frozenset("a")), ready(before), *script)
    assert windows(io) == [900, 4]
    assert io.sleeps == [pytest.approx(0.48)], "so that 4 whole seconds reach back to the turn"
    assert answer.count == 6


def test_a_name_that_was_only_seen_before_the_turn_is_missing() -> None:
    before = Baseline(START, 5, frozenset("ab"))

    def answer(request: Any) -> Any:
        return events(6, "a", "b") if "=9" in request.path else events(1, "b")

    _, error = turn_of(Expected(providers=frozenset("a")), ready(before), answer, ..., timeout=5)
    assert error.got == "1 (5 before the turn, 6 now), from b"


def test_names_read_as_the_next_turn_begins_may_be_its_own() -> None:
    it = ready(Baseline(START, 5, frozenset("ab")))

    def meanwhile(_: Any) -> Any:
        account_of(it).after = Baseline(START + 2, 6, frozenset("ab"))
        return events(2, "a", "b")

    script = [events(6, "a", "b"), meanwhile, events(7, "a", "b")]
    io, error = turn_of(Expected(providers=frozenset("a")), it, *script)
    assert error.got == (
        "1 (5 before the turn, 6 at the next turn), from no provider, and perhaps from a"
    )
    assert len(io.sent) == 3


def test_a_window_longer_than_it_was_asked_for_tells_no_name() -> None:
    it = ready(Baseline(START - 9.5, 5, frozenset({"openai", "anthropic"})), born=START - 20)
    io, calls = calls_of(
        it, llm_events=[events(6, "openai", "anthropic"), events(6, "openai", window=900)]
    )
    with pytest.raises(ContractError) as caught:
        drive(
            Usage(calls, it, 30).of_turn(Expected(providers=frozenset({"openai"})), account_of(it))
        )
    assert caught.value.expected == "window_seconds: 10, back to the turn's start"
    assert caught.value.got == "window_seconds: 900"
    assert len(io.sent) == 2


def test_a_name_that_no_event_is_left_for_is_not_looked_for() -> None:
    wanted = Expected(providers=frozenset("a"))
    io, error = turn_of(wanted, ready(BEFORE), events(6, "a", "b"), ..., timeout=1)
    assert error.got == "1 (5 before the turn, 6 now), from b"
    assert min(windows(io)) >= 900


def test_a_name_that_nobody_knows_is_not_looked_for() -> None:
    wanted = Expected(providers=frozenset("x"))
    io, error = turn_of(wanted, ready(BEFORE), events(9, "a", "b"), ..., timeout=1)
    assert error.got == "4 (5 before the turn, 9 now), from b"
    assert min(windows(io)) >= 900


def test_where_nothing_was_added_nobody_is_looked_for() -> None:
    wanted = Expected(0, providers=frozenset("a"))
    io, error = turn_of(wanted, ready(BEFORE), events(5, "a"), ..., timeout=1)
    assert error.got == "0 (5 before the turn, 5 now), from no provider"
    assert min(windows(io)) >= 900


@given(st.floats(0, 1e5))
@example(0.0)
@example(0.98)
@example(1.98)
@example(3.9999999)
def test_the_window_since_the_turn_reaches_back_to_it_and_hardly_further(elapsed: float) -> None:
    before = Baseline(START, 5, frozenset("ab"))
    it = ready(before)
    io, calls = calls_of(it, llm_events=[events(6, "a", "b"), events(1, "a")])
    io.time += elapsed
    drive(Usage(calls, it, 30).of_turn(Expected(providers=frozenset("a")), account_of(it)))
    since, window = io.sent[1].at - START, windows(io)[1]
    assert window >= since - 1e-9
    assert window - since == pytest.approx(0.02, abs=1e-6)
    assert window <= math.ceil(elapsed + 0.02)


def test_hostile_names_are_made_harmless() -> None:
    _, error = turn_of(Expected(9), ready(Baseline(START)), events(1, "\x1b##[x]"), ..., timeout=1)
    assert error.got == "1 (0 before the turn, 1 now), from \\x1b# #[x]"


UNEXPLAINED = "llm_events names more providers than it counts LLM events"


@pytest.mark.parametrize(
    ("before", "now", "expected", "got"),
    [
        (Baseline(START), events(1, "b", "a"), "no more than 1: an LLM event of each", "2: a, b"),
        (Baseline(START), events(0, "a"), "no more than 0: an LLM event of each", "1: a"),
        (BEFORE, events(6, *"abc"), "no more than 1: an LLM event of each", "2: b, c"),
        (BEFORE, events(5, *"ab"), "no more than 0: an LLM event of each", "1: b"),
        (BEFORE, events(4, *"ab"), "no more than 0: an LLM event of each", "1: b"),
    ],
)
def test_a_provider_without_an_event_breaks_the_contract(
    before: Baseline, now: Any, expected: str, got: str
) -> None:
    with pytest.raises(ContractError) as caught:
        turn_of(Expected(0, providers=frozenset("b")), ready(before), now, ...)
    since = "" if before.count == 0 else " since 5 were counted"
    assert caught.value.message == UNEXPLAINED + since
    assert (caught.value.expected, caught.value.got) == (expected, got)
    assert caught.value.phase == "llm_events"


def test_so_it_does_in_the_recent_window_and_since_the_turn_began() -> None:
    with pytest.raises(ContractError, match=UNEXPLAINED):
        window_of(Expected(), events(1, "a", "b"), ...)
    before = Baseline(START, 5, frozenset("ab"))
    with pytest.raises(ContractError, match=UNEXPLAINED):
        turn_of(
            Expected(providers=frozenset("a")),
            ready(before),
            events(6, "a", "b"),
            events(1, "a", "b"),
            ...,
        )


def test_so_it_does_at_the_next_turns_beginning() -> None:
    after = Baseline(START + 50, 6, frozenset("abc"))
    with pytest.raises(ContractError, match=UNEXPLAINED):
        turn_of(Expected(), ready(BEFORE, after), events(8, *"abc"))


def test_names_and_count_that_are_read_one_after_the_other_are_asked_for_again() -> None:
    io, answer = turn_of(Expected(), ready(BEFORE), events(5, *"ab"), events(6, *"ab"))
    assert answer.count == 6
    assert (len(io.sent), io.sleeps) == (2, [])


def test_a_name_for_each_row_is_one_name() -> None:
    _, answer = turn_of(Expected(2), ready(BEFORE), events(7, *"aaaaabb"))
    assert answer.count == 7


def test_a_baseline_with_a_provider_of_no_event_is_none() -> None:
    it = ready()
    _, calls = calls_of(it, llm_events=[events(0, "a"), ...])
    baseline = drive(read_baseline(calls, it, 5))
    assert baseline.error == UNEXPLAINED


# --- the last 900 s --------------------------------------------------------------------------


def test_the_recent_window_is_the_routers_default() -> None:
    it = ready(BEFORE, born=START - 1e6)
    io, calls = calls_of(it, llm_events=[events(1, "a")])
    answer = drive(Usage(calls, it, 30).of_window(Expected()))
    assert (answer.count, windows(io)) == (1, [RECENT])
    assert RECENT == 900


def test_the_recent_window_counts_everything_and_everyone() -> None:
    wanted = Expected(2, 3, frozenset("ab"))
    io, answer = window_of(wanted, events(1, "a"), events(2, "a", "b"), events(3, "b", "a"))
    assert answer.count == 3
    assert io.sleeps == [0.25, 2.0]


def test_too_few_in_the_recent_window_read_so() -> None:
    _, error = window_of(Expected(3), events(2, "b", "a"), ..., timeout=3)
    assert error.got == "2 in the last 900 s, from a, b"
    assert error.expected == "at least 3 LLM events"


def test_an_attached_instance_is_counted_too() -> None:
    it = attached()
    it.account = TurnAccount(Baseline(START, 5, frozenset("a")))
    io, answer = turn_of(Expected(), it, events(6, "a"))
    assert answer.count == 6
    assert windows(io) == [YEAR]


# Recording


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
    number = it.log.begin(3, START)
    account = it.account = TurnAccount(Baseline(START, 3, number=number), recorded=True)
    io, calls = calls_of(it, llm_events=[answer])
    drive(count_for_recording(calls, it))
    assert len(io.sent) == 1
    assert (account.found and account.found[1:]) == found


def test_what_a_replay_does_not_know_is_no_sign_of_a_turn_without_events() -> None:
    log = ready().log
    log.leaves_unknown()
    assert log.history.last is None, "there is no turn yet"
    log.begin(0, START)
    log.leaves_unknown()
    assert log.history.last is not None
    assert not log.history.last.sure
