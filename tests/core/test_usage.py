"""A turn's LLM events: how they are counted, and what is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from counting import BEFORE, account_of, names, ready, turn_of, window_of, windows
from scripted_io import (
    HANG,
    ID,
    START,
    AtDeadline,
    Took,
    attached,
    calls_of,
    events,
    late,
    lost,
    refused,
    reply,
)
from turns_told import begin, end, know

from pytest_hydrasmoke import LlmEventsError
from pytest_hydrasmoke._core.account import (
    RECENT,
    YEAR,
    life_window,
    read_count,
)
from pytest_hydrasmoke._core.expected import Expected
from pytest_hydrasmoke._core.llm_events import Usage
from pytest_hydrasmoke._core.policy import SECOND_LOOK
from pytest_hydrasmoke._core.settle import USUAL
from pytest_hydrasmoke._core.turn_account import Count, TurnAccount
from pytest_hydrasmoke._transport.protocol import drive

LATE = "raise HYDRA_SMOKE_LLM_EVENTS_TIMEOUT if the agent reports its usage late, else see the "
LATE += "agent's log of this turn"


NO_LONGER = "see the agent's log of this turn: a longer wait does not help"


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
    baseline = drive(read_count(calls, it, 30))
    assert baseline == Count(START + 102, 4, frozenset("ab"))
    assert windows(io) == [1000]
    assert io.sent[0].deadline == START + 130


def test_a_baseline_that_can_not_be_read_is_kept_as_such() -> None:
    it = ready()
    _, calls = calls_of(it, llm_events=[Took(1, reply(401))])
    baseline = drive(read_count(calls, it, 30))
    assert baseline == Count(START + 1, error="llm_events was refused with 401")


NEXT = Count(START + 50, 7, frozenset("a"))


@dataclass(frozen=True)
class Case:
    """What is expected, what the router answers, and what comes of it."""

    wanted: Expected
    steps: tuple[Any, ...]
    says: int | str
    """The count that is given, or what the error has got."""
    baselines: tuple[Count, ...] = (BEFORE,)
    sleeps: tuple[float, ...] | None = ()
    """None where they are of no matter."""
    timeout: float = 30
    next_step: str | None = None


NOW_2 = "2 (5 before the turn, 7 now), from a"


NEXT_2 = "2 (5 before the turn, 7 at the next turn), from a"


NONE = "0 (5 before the turn, 5 now), from no provider"


BOTH = (BEFORE, NEXT)


OF_A, OF_B = Expected(providers=names("a")), Expected(providers=names("b"))


CASES: dict[str, Case] = {
    "beyond its baseline": Case(Expected(), (events(6, "a"),), 6),
    "late": Case(Expected(2), (events(5), events(6, "a"), events(7, "a")), 7, sleeps=(0.25, 0.25)),
    "hiccups": Case(Expected(), (reply(502), lost(), refused(), events(6, "a")), 6, sleeps=None),
    "none": Case(Expected(), (events(5, "a"), ...), NONE, sleeps=None, next_step=LATE),
    "the one read that is granted": Case(Expected(), (Took(4, events(6, "a")),), 6, timeout=0),
    "no more than one read": Case(Expected(), (events(5),), NONE, timeout=0),
    "read at the deadline": Case(Expected(), (AtDeadline(events(5)),), NONE, timeout=10),
    # With an upper bound there is a second look.
    "looked at twice": Case(
        Expected(1, 1), (events(6, "a"), events(6, "a")), 6, sleeps=(SECOND_LOOK,)
    ),
    "a late duplicate": Case(
        Expected(1, 1), (events(6, "a"), events(7, "a")), NOW_2, sleeps=(SECOND_LOOK,)
    ),
    "too many": Case(Expected(1, 1), (events(7, "a"),), NOW_2, next_step=NO_LONGER),
    "never too many": Case(Expected(), (events(500, "a"),), 500),
    "one second look": Case(
        Expected(1, 1),
        (events(5), events(6, "a"), events(5), events(6, "a")),
        6,
        sleeps=(0.25, SECOND_LOOK, 0.25),
    ),
    "none, twice": Case(Expected(0, 0), (events(5, "a"), events(5, "a")), 5, sleeps=(SECOND_LOOK,)),
    "a second look beyond the deadline": Case(
        Expected(1, 1), (events(6, "a"), events(6, "a")), 6, sleeps=(SECOND_LOOK,), timeout=1
    ),
    # The next turn's baseline, which no second look changes, ends a turn.
    "at the next turn": Case(Expected(2, 2), (events(99, "a"),), 99, BOTH),
    "of the last turn": Case(
        Expected(1, 1), (events(9, "a"),), "2 (7 before the turn, 9 now), from a", (NEXT,)
    ),
    "missing at the next turn": Case(Expected(3), (events(99, "a"),), NEXT_2, BOTH),
    "too many at the next turn": Case(Expected(1, 1), (events(7, "a"),), NEXT_2, BOTH),
    "no name comes later": Case(Expected(2, None, names("b")), (events(8, "a"),), NEXT_2, BOTH),
    "a name comes too late": Case(Expected(2, None, names("b")), (events(8, *"ab"),), NEXT_2, BOTH),
    "a later turn's name": Case(
        OF_B,
        (events(2, *"ab"),),
        "1 (0 before the turn, 1 at the next turn), from a",
        (Count(START), Count(START + 9, 1, names("a"))),
    ),
    # Providers, for which no second request is needed.
    "a new name": Case(OF_B, (events(6, *"ab"),), 6),
    "the only name": Case(OF_A, (events(6, "a"),), 6),
    "a name for each row": Case(Expected(2), (events(7, *"aaaaabb"),), 7),
    "names before their count": Case(Expected(), (events(5, *"ab"), events(6, *"ab")), 6),
    "no event left for a name": Case(
        OF_A,
        (events(6, *"ab"), ...),
        "1 (5 before the turn, 6 now), from b",
        timeout=1,
        sleeps=None,
    ),
    "a name that nobody knows": Case(
        Expected(providers=names("x")),
        (events(9, *"ab"), ...),
        "4 (5 before the turn, 9 now), from b",
        timeout=1,
        sleeps=None,
    ),
    "nobody of no event": Case(
        Expected(0, None, names("a")), (events(5, "a"), ...), NONE, sleeps=None, next_step=LATE
    ),
    "a hostile name": Case(
        Expected(9),
        (events(1, "\x1b##[x]"), ...),
        "1 (0 before the turn, 1 now), from \\x1b# #[x]",
        (Count(START),),
        timeout=1,
        sleeps=None,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_turns_events_are_those_from_its_baseline_to_the_next(name: str) -> None:
    case = CASES[name]
    it = ready(*case.baselines)
    io, answer = turn_of(case.wanted, it, *case.steps, timeout=case.timeout)
    if isinstance(case.says, int):
        assert answer.count == case.says
        assert it.phases == {"llm_events": pytest.approx(io.waited)}
    else:
        assert (answer.got, answer.phase) == (case.says, "llm_events")
        assert case.next_step in (None, answer.next_step)
        assert answer.seconds == pytest.approx(io.waited)
    if ... not in case.steps:
        assert len(io.sent) == len(case.steps)
    else:
        assert io.waited == pytest.approx(case.timeout)
    assert case.sleeps is None or io.sleeps == list(case.sleeps)
    assert min(windows(io)) >= 900


def test_a_read_has_its_time_and_one_that_is_granted_has_five_seconds() -> None:
    io, _ = turn_of(Expected(1, 1), ready(BEFORE), events(6, "a"), events(6, "a"), timeout=1)
    assert [sent.deadline - START for sent in io.sent] == [1, 2 + 5]
    io, _ = turn_of(Expected(), ready(BEFORE), events(6, "a"), timeout=0)
    assert io.sent[0].deadline == START + 5


@pytest.mark.parametrize("timeout", [0.6, 1, 4])
def test_a_read_that_hangs_ends_with_the_deadline(timeout: float) -> None:
    io, error = turn_of(Expected(), ready(BEFORE), HANG, timeout=timeout)
    assert isinstance(error, LlmEventsError)
    assert io.waited == pytest.approx(timeout)


def test_the_window_grows_with_the_instances_age() -> None:
    it = ready(BEFORE, born=START - 1000.5)
    io, _ = turn_of(Expected(), it, events(5), Took(3, events(5)), events(6, "a"))
    assert windows(io) == [1901, 1901, 1905]


def test_missing_events_read_so() -> None:
    _, error = turn_of(Expected(2, providers=names("b")), ready(BEFORE), events(6, "a"), ...)
    assert isinstance(error, AssertionError)
    assert str(error) == (
        "the LLM events are not as expected\n"
        "  phase:     llm_events, after 30.0 s\n"
        f"  instance:  {ID} (key night-0)\n"
        "  expected:  at least 2 LLM events, b among them\n"
        "  got:       1 (5 before the turn, 6 now), from a\n"
        f"  next step: {LATE}"
    )
    _, error = turn_of(Expected(providers=names("bc")), ready(BEFORE), events(6, "b"), ...)
    assert error.next_step == (
        "enough events came, but none from c: see which providers the agent uses, in its "
        "configuration and its log of this turn; raise HYDRA_SMOKE_LLM_EVENTS_TIMEOUT only if more "
        "events come later"
    )


@pytest.mark.parametrize(("longest", "wait"), [(None, 2.0), (0.9, 2.0), (2.3, 4.6), (9.0, USUAL)])
def test_the_second_look_is_no_earlier_than_rows_of_this_run_have_come(
    longest: float | None, wait: float
) -> None:
    it = ready(Count(START, 5, frozenset("a"), number=1))
    begin(it, 5, START)
    end(it, START)
    know(it, longest=longest)
    io, error = turn_of(Expected(0, 0), it, events(5, "a"), events(6, "a"))
    assert (io.sleeps, error.got) == ([pytest.approx(wait)], "1 (5 before the turn, 6 now), from a")


@pytest.mark.parametrize(
    ("wanted", "first", "says"),
    [(Expected(1, 2), (events(6, "a"),), 9), (Expected(3), (), NEXT_2)],
    ids=["between two looks", "while it is read"],
)
def test_a_turn_that_begins_meanwhile_ends_this_one(
    wanted: Expected, first: tuple[Any, ...], says: int | str
) -> None:
    it = ready(BEFORE)

    def meanwhile(_: Any) -> Any:
        account_of(it).after = NEXT
        return events(9, "a")

    io, answer = turn_of(wanted, it, *first, meanwhile)
    assert (answer.count if isinstance(says, int) else answer.got) == says
    assert io.sleeps == [SECOND_LOOK] * len(first)


NO_COUNT = Count(START, error="llm_events was refused with 500")


@pytest.mark.parametrize("baselines", [(NO_COUNT,), (BEFORE, NO_COUNT)], ids=["own", "next"])
def test_a_baseline_that_was_not_read_is_never_no_events(baselines: tuple[Count, ...]) -> None:
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
def test_a_failed_read_is_never_no_events(step: Any) -> None:
    for wanted in (Expected(), Expected(0), Expected(0, 0)):
        of_turn, of_window = turn_of(wanted, ready(BEFORE), step, ...), window_of(wanted, step, ...)
        for _, error in (of_turn, of_window):
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


def test_the_recent_window_is_the_routers_default_and_has_everything_and_everyone() -> None:
    it = ready(BEFORE, born=START - 1e6)
    io, calls = calls_of(it, llm_events=[events(1, "a")])
    answer = drive(Usage(calls, it, 30).of_window(Expected()))
    assert (answer.count, windows(io)) == (1, [RECENT])
    assert RECENT == 900
    wanted = Expected(2, 3, names("ab"))
    io, answer = window_of(wanted, events(1, "a"), events(2, *"ab"), events(3, *"ba"))
    assert (answer.count, io.sleeps) == (3, [0.25, 2.0])
    _, error = window_of(Expected(3), events(2, *"ba"), ..., timeout=3)
    assert error.got == "2 in the last 900 s, from a, b"
    assert error.expected == "at least 3 LLM events"


def test_an_attached_instance_is_counted_too() -> None:
    it = attached()
    it.account = TurnAccount(BEFORE)
    io, answer = turn_of(Expected(), it, events(6, "a"))
    assert (answer.count, windows(io)) == (6, [YEAR])
