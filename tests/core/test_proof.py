"""What a row of looks proves of a deletion: pure rules, on made-up moments."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hydrasmoke._core.proof import (
    KEPT_ROW,
    KNOWN_ROW,
    NEXT_LOOK,
    UNASKED,
    UNDER_WAY,
    Look,
    Manner,
    Says,
    Seen,
    Verdict,
    judge,
)

SAYS: tuple[Says, ...] = ("gone", "under way", "unknown", "contradiction", "alive", "nothing")
MINE, OTHER = "0b0e9d5e", "7c1d2e3f"


def accepted(at: float = 0.0, seen: Seen | None = None) -> Seen:
    return (seen or Seen()).answered(at, accepted=True)


def not_there(at: float = 0.0, seen: Seen | None = None) -> Seen:
    return (seen or Seen()).answered(at, accepted=False)


def failed(at: float = 0.0, seen: Seen | None = None) -> Seen:
    return (seen or Seen()).unanswered(at, "HTTP 503")


def looks(seen: Seen, *steps: tuple[float, Says]) -> Seen:
    for at, says in steps:
        seen = seen.saw(Look(at, says, f"it says {says}"))
    return seen


@dataclass(frozen=True)
class Case:
    seen: Seen
    proved: bool = False
    ask: bool = False
    next_look: float | None = None
    why: str = ""
    patient: bool = False
    last: bool = False
    keeps_rows: bool = False


KEPT = looks(accepted(), (0, "contradiction"), (5, "contradiction"))
CASES = {
    # A first DELETE is always due.
    "nothing": Case(Seen(), ask=True, why="the router was not asked yet"),
    "a look alone": Case(looks(Seen(), (0, "gone")), ask=True, why="the router was not asked yet"),
    "an answer alone": Case(accepted(), ask=True, why="the router was not asked yet"),
    # Gone words.
    "gone": Case(looks(accepted(), (0, "gone")), proved=True),
    "gone, unasked": Case(looks(not_there(), (0, "gone")), proved=True),
    "gone, after a fault": Case(looks(failed(), (0, "gone")), proved=True),
    "gone, to a sweep": Case(looks(not_there(), (0, "gone")), proved=True, patient=True),
    "under way": Case(looks(accepted(), (0, "under way")), proved=True),
    "under way, to a sweep": Case(
        looks(accepted(), (3, "under way")),
        next_look=3 + NEXT_LOOK,
        why="the router is still deleting it (for 0 s of 10 s)",
        patient=True,
    ),
    "under way long enough for a sweep": Case(
        looks(accepted(), (3, "under way"), (13, "under way")), proved=True, patient=True
    ),
    "under way, at a last look": Case(
        looks(accepted(), (3, "under way"), (13, "under way")),
        why="the router is still deleting it",
        last=True,
    ),
    "gone, at a last look": Case(looks(accepted(), (0, "gone")), proved=True, last=True),
    # Not found.
    "unknown": Case(looks(accepted(), (0, "unknown")), proved=True),
    "unknown, accepted before a fault": Case(
        looks(failed(2, accepted()), (2, "unknown")), proved=True
    ),
    "unknown, unasked": Case(
        looks(not_there(), (1, "unknown")),
        next_look=1 + NEXT_LOOK,
        why="it is not found, but the router has accepted no delete (for 0 s of 10 s)",
    ),
    "unknown, unasked, for a while": Case(
        looks(not_there(), (1, "unknown"), (9, "unknown")),
        next_look=9 + NEXT_LOOK,
        why="it is not found, but the router has accepted no delete (for 8 s of 10 s)",
    ),
    "unknown, unasked, long enough": Case(
        looks(not_there(), (1, "unknown"), (11, "unknown")), proved=True
    ),
    "unknown, and a look between that proves nothing": Case(
        looks(failed(), (1, "unknown"), (5, "nothing"), (11, "unknown")), proved=True
    ),
    "unknown, and alive between": Case(
        looks(not_there(), (1, "unknown"), (5, "alive"), (11, "unknown")),
        next_look=11 + NEXT_LOOK,
        why="it is not found, but the router has accepted no delete (for 0 s of 10 s)",
    ),
    "unknown, and its key names another now": Case(
        looks(not_there(), (1, "unknown")).saw(Look(11, "unknown", "", OTHER)),
        next_look=11 + NEXT_LOOK,
        why="it is not found, but the router has accepted no delete (for 0 s of 10 s)",
    ),
    # A contradiction.
    "a contradiction": Case(
        looks(accepted(), (0, "contradiction")),
        next_look=NEXT_LOOK,
        why="it is not found, but its key names it: it says contradiction (for 0 s of 5 s)",
    ),
    "a contradiction, just before its time": Case(
        looks(accepted(), (0, "contradiction"), (4.5, "contradiction")),
        next_look=5,
        why="it is not found, but its key names it: it says contradiction (for 4 s of 5 s)",
    ),
    "a contradiction, held": Case(
        KEPT,
        ask=True,
        why="it is not found, but its key names it: it says contradiction (for 5 s of 5 s)",
    ),
    "a further delete finds nothing": Case(
        looks(not_there(5, KEPT), (5, "contradiction")), proved=True
    ),
    "a further delete fails": Case(
        looks(failed(5, KEPT), (5, "contradiction")),
        ask=True,
        why="it is not found, but its key names it: it says contradiction (for 5 s of 5 s)",
    ),
    "a further delete is accepted": Case(
        looks(accepted(5, KEPT), (5, "contradiction")),
        next_look=5 + NEXT_LOOK,
        why="it is not found, but its key names it: it says contradiction (for 5 s of 5 s)",
    ),
    "a further delete was accepted long ago": Case(
        looks(accepted(5, KEPT), (15, "contradiction")), proved=True
    ),
    "a contradiction, unasked, held for less than ten seconds": Case(
        looks(not_there(), (0, "contradiction"), (6, "contradiction")),
        next_look=7,
        why="it is not found, but its key names it: it says contradiction (for 6 s of 10 s)",
    ),
    "a contradiction of a router that keeps rows": Case(
        looks(accepted(), (0, "contradiction")),
        next_look=KNOWN_ROW,
        why="it is not found, but its key names it: it says contradiction (for 0 s of 1 s)",
        keeps_rows=True,
    ),
    "a router that keeps rows, held": Case(
        looks(not_there(1, looks(accepted(), (0, "contradiction"))), (1, "contradiction")),
        proved=True,
        keeps_rows=True,
    ),
    # No proof.
    "alive": Case(looks(accepted(), (0, "alive")), ask=True, why="it says alive"),
    "alive for ever": Case(
        looks(accepted(), (0, "alive"), (999, "alive")), ask=True, why="it says alive"
    ),
    "gone, then alive": Case(
        looks(accepted(), (0, "gone"), (1, "alive")), ask=True, why="it says alive"
    ),
    "nothing that proves": Case(looks(accepted(), (0, "nothing")), ask=True, why="it says nothing"),
    "neither answer proves": Case(
        looks(failed(), (0, "nothing")), ask=True, why="HTTP 503; it says nothing"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_was_seen_proves_what_the_table_says(name: str) -> None:
    case = CASES[name]
    verdict = judge(case.seen, Manner(case.keeps_rows), patient=case.patient, last=case.last)
    kept = case.proved and case.seen.look is not None and case.seen.look.says == "contradiction"
    assert verdict == Verdict(
        proved=case.proved,
        ask=case.ask,
        next_look=case.next_look,
        why=case.why,
        kept_row=kept,
    )


# --- whatever a router answers ----------------------------------------------------------------

# Exact in binary: sums of them have no rounding.
PAUSES = st.sampled_from([0.0, 0.25, 0.875, 1.0, 1.125, 4.875, 5.0, 9.875, 10.0, 11.0])
ANSWERS = st.sampled_from(["accepted", "found nothing", "failed", "none"])
STEPS = st.lists(st.tuples(PAUSES, ANSWERS, st.sampled_from(SAYS)), min_size=1, max_size=12)
BY = st.tuples(st.booleans(), st.booleans())


def after(steps: list[tuple[float, str, Says]]) -> tuple[Seen, list[tuple[float, Says]], float]:
    """Return what was seen, the looks, and the end: before each look a DELETE may be answered."""
    seen, now, told = Seen(), 0.0, list[tuple[float, Says]]()
    for pause, answer, says in steps:
        now += pause
        if answer == "failed":
            seen = seen.unanswered(now, "no answer")
        elif answer != "none":
            seen = seen.answered(now, accepted=answer == "accepted")
        seen = seen.saw(Look(now, says, says))
        told.append((now, says))
    return seen, told, now


def held_for(told: list[tuple[float, Says]], end: float) -> float:
    """Return for how long the last answer has held: looks that prove nothing do not count."""
    sure = [(at, says) for at, says in told if says != "nothing"]
    since = end
    for at, says in reversed(sure):
        if says != told[-1][1]:
            break
        since = at
    return end - since


@given(STEPS, BY)
def test_what_is_proved_has_held_as_long_as_it_must(
    steps: list[tuple[float, str, Says]], by: tuple[bool, bool]
) -> None:
    keeps_rows, patient = by
    seen, told, end = after(steps)
    verdict = judge(seen, Manner(keeps_rows), patient=patient)
    if not verdict.proved:
        assert verdict.why
        return
    says, held = told[-1][1], held_for(told, end)
    was_accepted = any(answer == "accepted" for _, answer, _ in steps)
    assert any(answer != "none" for _, answer, _ in steps)
    if says in ("unknown", "contradiction") and not was_accepted:
        assert held >= UNASKED
    if says == "under way" and patient:
        assert held >= UNDER_WAY
    if says == "contradiction":
        assert held >= (KNOWN_ROW if keeps_rows else KEPT_ROW)
        assert verdict.kept_row
        assert seen.refused is None
        assert seen.found_nothing or end - (seen.asked or 0.0) >= UNASKED


@given(STEPS, BY)
def test_whoever_does_what_the_verdict_says_comes_to_an_end_once_a_router_is_constant(
    steps: list[tuple[float, str, Says]], by: tuple[bool, bool]
) -> None:
    keeps_rows, patient = by
    seen, told, now = after(steps)
    says: Says = told[-1][1]
    if says in ("alive", "nothing"):
        says = "unknown"
    for _ in range(30):
        verdict = judge(seen, Manner(keeps_rows), patient=patient)
        if verdict.proved:
            break
        if verdict.ask:
            seen = seen.answered(now, accepted=False)
        assert verdict.next_look is None or verdict.next_look > now
        now = verdict.next_look or now + 0.25
        seen = seen.saw(Look(now, says, says))
    assert verdict.proved
