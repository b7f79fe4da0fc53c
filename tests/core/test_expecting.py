"""A turn's LLM events: how they are counted, whose they are, and what is told of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from core_tools import (
    BEFORE,
    LOG,
    NAMED,
    account_of,
    begin,
    count_turn,
    counted,
    end,
    know,
    windows,
)
from scripted_io import HANG, START, AtDeadline, Took, events, lost, refused, reply

from pytest_hydrasmoke import LlmEventsError
from pytest_hydrasmoke._core.account import Count
from pytest_hydrasmoke._core.expected import Expected
from pytest_hydrasmoke._core.policy import SECOND_LOOK
from pytest_hydrasmoke._core.settling import ENOUGH, FEW

A, B, AB = frozenset("a"), frozenset("b"), frozenset("ab")
NEXT = Count(START + 50, 7, A)
SEEN = Count(START, 5, AB)
BOTH = (BEFORE, NEXT)
OF_A, OF_B, ONLY_A = Expected(providers=A), Expected(providers=B), Expected(providers=A, only=True)
LATE = f"raise HYDRA_SMOKE_LLM_EVENTS_TIMEOUT if the agent reports its usage late, else {LOG}"
NO_LONGER = f"{LOG}: a longer wait does not help"
ASK_FIRST = "expect a turn's LLM events before the next chat on its instance"
NONE = "0 (5 before the turn, 5 now), from no provider"
NOW_2 = "2 (5 before the turn, 7 now), from a"
NEXT_2 = "2 (5 before the turn, 7 at the next turn), from a"
ONE_NEXT = "1 (5 before the turn, 6 at the next turn), from no provider, and perhaps from "


class Case(NamedTuple):
    """What is expected, what the router answers, and what comes of it."""

    wanted: Expected
    steps: list[Any]
    says: int | str
    """The count that is given, or what the error has got."""
    sleeps: list[float] | None = []  # noqa: RUF012
    """None where they are of no matter."""
    baselines: tuple[Count, ...] = (BEFORE,)
    timeout: float = 30
    next_step: str | None = None
    since: tuple[int, ...] = ()
    """The windows that it asks for, of seconds since the turn."""


def since_then(*names: str) -> Any:
    """Answer a stranger's question for the time since the turn, and one for its whole life."""
    return lambda it: events(6, "a", "b") if "=9" in it.path else events(1, *names)


CASES: dict[str, Case] = {
    "beyond its baseline": Case(Expected(), [events(6, "a")], 6),
    "late": Case(Expected(2), [events(5), events(6, "a"), events(7, "a")], 7, [0.25, 0.25]),
    "hiccups": Case(Expected(), [reply(502), lost(), refused(), events(6, "a")], 6, None),
    "none": Case(Expected(), [events(5, "a"), ...], NONE, None, next_step=LATE),
    "the one read that is granted": Case(Expected(), [Took(4, events(6, "a"))], 6, timeout=0),
    "no more than one read": Case(Expected(), [events(5)], NONE, timeout=0),
    "read at the deadline": Case(Expected(), [AtDeadline(events(5))], NONE, timeout=10),
    # With an upper bound there is a second look.
    "looked at twice": Case(Expected(1, 1), [events(6, "a")] * 2, 6, [SECOND_LOOK]),
    "a late duplicate": Case(
        Expected(1, 1), [events(6, "a"), events(7, "a")], NOW_2, [SECOND_LOOK]
    ),
    "too many": Case(Expected(1, 1), [events(7, "a")], NOW_2, next_step=NO_LONGER),
    "never too many": Case(Expected(), [events(500, "a")], 500),
    "one second look": Case(
        Expected(1, 1), [events(5), events(6, "a")] * 2, 6, [0.25, SECOND_LOOK, 0.25]
    ),
    "none, twice": Case(Expected(0, 0), [events(5, "a")] * 2, 5, [SECOND_LOOK]),
    "a second look beyond the deadline": Case(
        Expected(1, 1), [events(6, "a")] * 2, 6, [SECOND_LOOK], timeout=1
    ),
    # The next turn's baseline, which no second look changes, ends a turn.
    "at the next turn": Case(Expected(2, 2), [events(99, "a")], 99, baselines=BOTH),
    "of the last turn": Case(
        *(Expected(1, 1), [events(9, "a")], "2 (7 before the turn, 9 now), from a"),
        baselines=(NEXT,),
    ),
    "missing at the next turn": Case(
        Expected(3), [events(99, "a")], NEXT_2, baselines=BOTH, next_step=ASK_FIRST
    ),
    "too many at the next turn": Case(Expected(1, 1), [events(7, "a")], NEXT_2, baselines=BOTH),
    "a name comes too late": Case(OF_B, [events(8, *"ab")], NEXT_2, baselines=BOTH),
    "a later turn's name": Case(
        *(OF_B, [events(2, *"ab")], "1 (0 before the turn, 1 at the next turn), from a"),
        baselines=(Count(START), Count(START + 9, 1, A)),
    ),
    # Who it was can't be told once the next turn has begun.
    **{
        f"perhaps {names}": Case(
            *(wanted, [events(9, *"ab")], ONE_NEXT + names),
            baselines=(SEEN, Count(START + 9, 6, AB)),
            next_step=ASK_FIRST,
        )
        for wanted, names in ((OF_A, "a"), (ONLY_A, "a, b"))
    },
    # Providers, for which no second request is needed.
    "a new name": Case(OF_B, [events(6, *"ab")], 6),
    "the only name": Case(OF_A, [events(6, "a")], 6),
    "a name for each row": Case(Expected(2), [events(7, *"aaaaabb")], 7),
    "names before their count": Case(Expected(), [events(5, *"ab"), events(6, *"ab")], 6),
    "no event left for a name": Case(
        *(OF_A, [events(6, *"ab"), ...], "1 (5 before the turn, 6 now), from b", None), timeout=0.9
    ),
    "a name that nobody knows": Case(
        *(Expected(providers=frozenset("x")), [events(9, *"ab"), ...]),
        *("4 (5 before the turn, 9 now), from b", None),
        timeout=0.9,
    ),
    "nobody of no event": Case(Expected(0, None, A), [events(5, "a")], NONE, timeout=0),
    "a hostile name": Case(
        *(Expected(9), [events(1, "\x1b##[x]")]),
        "1 (0 before the turn, 1 now), from \\x1b# #[x]",
        baselines=(Count(START),),
        timeout=0,
    ),
    # Providers that were there before the turn are looked for since it began.
    "a name known before": Case(
        *(OF_A, [Took(3.5, events(6, *"ab")), events(1, "a")], 6, [pytest.approx(0.48)], (SEEN,)),
        since=(4,),
    ),
    "another's name known before": Case(
        *(OF_A, [since_then("b"), ...], "1 (5 before the turn, 6 now), from b", None, (SEEN,)),
        timeout=0.1,
        since=(1,),
    ),
    # Where its window begins nobody knows if it is long on its way, as after a refusal.
    "late, since then": Case(
        *(OF_A, [events(6, *"ab"), Took(1.5, events(0)), events(1, "a")], 6, None, (SEEN,)),
        since=(1, 3),
    ),
    "never in time, since then": Case(
        *(OF_A, [events(6, *"ab"), Took(1.5, events(1, "a")), ...]),
        *("the router's answers came more than 1 s after they were asked for", None, (SEEN,)),
        timeout=5,
        since=(1, 3, 5),
    ),
    "nobody else since then": Case(
        *(ONLY_A, [since_then("a"), ...], 6, None, (SEEN,)), since=(1, 3)
    ),
    "a stranger since then": Case(
        ONLY_A,
        [since_then("b"), ...],
        *("1 (5 before the turn, 6 now), from b", None, (SEEN,)),
        next_step=NO_LONGER,
        since=(1,),
    ),
    # Nobody else.
    "only one, looked at twice": Case(
        ONLY_A, [events(1, "a")] * 2, 1, [SECOND_LOOK], (Count(START),)
    ),
    "a stranger": Case(
        *(ONLY_A, [events(2, *"ab")], "2 (0 before the turn, 2 now), from a, b"),
        baselines=(Count(START),),
        next_step=NO_LONGER,
    ),
    "a stranger at the second look": Case(
        *(ONLY_A, [events(1, "a"), events(2, *"ab")], "2 (0 before the turn, 2 now), from a, b"),
        *([SECOND_LOOK], (Count(START),)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_turns_events_are_those_from_its_baseline_to_the_next(name: str) -> None:
    case = CASES[name]
    it = counted(*case.baselines)
    io, answer = count_turn(case.wanted, it, *case.steps, timeout=case.timeout)
    if isinstance(case.says, int):
        assert answer.count == case.says
        assert it.phases == {"llm_events": pytest.approx(io.waited)}
    else:
        assert isinstance(answer, LlmEventsError)
        assert (answer.got, answer.phase) == (case.says, "llm_events")
        assert answer.expected == str(case.wanted)
        assert case.next_step in (None, answer.next_step)
        assert answer.seconds == pytest.approx(io.waited)
    if ... not in case.steps:
        assert len(io.sent) == len(case.steps)
    assert case.sleeps is None or io.sleeps == case.sleeps
    assert [it for it in windows(io) if it < 900] == [*case.since]


def test_a_read_has_its_time_and_one_that_is_granted_has_five_seconds() -> None:
    io, _ = count_turn(Expected(1, 1), counted(BEFORE), *[events(6, "a")] * 2, timeout=1)
    assert [sent.deadline - START for sent in io.sent] == [1, 2 + 5]
    io, _ = count_turn(Expected(), counted(BEFORE), events(6, "a"), timeout=0)
    assert io.sent[0].deadline == START + 5
    for timeout in (0.6, 1, 4):
        io, error = count_turn(Expected(), counted(BEFORE), HANG, timeout=timeout)
        assert isinstance(error, LlmEventsError)
        assert io.waited == pytest.approx(timeout)


def test_missing_events_read_so() -> None:
    _, error = count_turn(Expected(2, providers=B), counted(BEFORE), events(6, "a"), ...)
    assert isinstance(error, AssertionError)
    assert str(error) == (
        "the LLM events are not as expected\n"
        "  phase:     llm_events, after 30.0 s\n"
        f"  instance:  {NAMED}\n"
        "  expected:  at least 2 LLM events, b among them\n"
        "  got:       1 (5 before the turn, 6 now), from a\n"
        f"  next step: {LATE}"
    )
    assert not error.in_vain
    _, error = count_turn(Expected(), counted(BEFORE), events(5, "a"), timeout=0)
    assert error.in_vain == "llm_events"
    wanted = Expected(providers=frozenset("bc"))
    _, error = count_turn(wanted, counted(BEFORE), events(6, "b"), ...)
    assert error.next_step == (
        "enough events came, but none from c: see which providers the agent uses, in its "
        "configuration and its log of this turn; raise HYDRA_SMOKE_LLM_EVENTS_TIMEOUT only if more "
        "events come later"
    )


@pytest.mark.parametrize(
    ("lags", "wait"),
    [
        ({}, 30.0),
        ({"in_time": FEW, "longest": 0.9}, 5.0),
        ({"in_time": ENOUGH, "longest": 0.9}, 5.0),
        ({"longest": 9.0}, 18.0),
    ],
)
def test_the_second_look_is_no_earlier_than_rows_may_come(
    lags: dict[str, Any], wait: float
) -> None:
    it = counted(replace(BEFORE, number=1))
    begin(it, 5, START)
    end(it, START)
    know(it, **lags)
    it.target.run_turns._lags[it.target.spec_name] = it.target.settling.lags
    io, error = count_turn(Expected(0, 0), it, events(5, "a"), events(6, "a"))
    assert (io.sleeps, error.got) == ([pytest.approx(wait)], "1 (5 before the turn, 6 now), from a")


@pytest.mark.parametrize(
    ("wanted", "before", "steps", "says"),
    [
        (Expected(1, 2), BEFORE, [events(6, "a"), events(9, "a")], 9),
        (Expected(3), BEFORE, [events(9, "a")], NEXT_2),
        # What was read since the turn began may be of the next one by then.
        (OF_A, SEEN, [events(6, *"ab"), events(2, *"ab"), events(7, *"ab")], ONE_NEXT + "a"),
    ],
    ids=["between two looks", "while it is read", "while names are read"],
)
def test_a_turn_that_begins_meanwhile_ends_this_one(
    wanted: Expected, before: Count, steps: list[Any], says: int | str
) -> None:
    it = counted(before)

    def meanwhile(_: Any) -> Any:
        account_of(it).after = NEXT if before is BEFORE else Count(START + 2, 6, AB)
        return answer

    at = 1 if before is SEEN else len(steps) - 1
    answer, steps = steps[at], [*steps[:at], meanwhile, *steps[at + 1 :]]
    io, found = count_turn(wanted, it, *steps)
    assert (found.count if isinstance(says, int) else found.got) == says
    assert len(io.sent) == len(steps)


def test_what_the_fake_says_is_to_come_is_asked_again_soon() -> None:
    it = counted(replace(BEFORE, number=1))
    begin(it, 5, START)
    end(it, START)
    told = iter([True, True, False])
    it.policy.router.to_come = lambda instance_id: next(told)
    io, found = count_turn(Expected(1, 1), it, *[events(6, "a")] * 3)
    assert found.count == 6
    assert sum(io.sleeps) < 1
