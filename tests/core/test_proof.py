"""What a row of looks proves of a deletion: pure rules, on made-up moments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hydrasmoke._core.proof import (
    KEPT_ROW,
    KNOWN_ROW,
    UNASKED,
    UNDER_WAY,
    Look,
    Says,
    Seen,
    Verdict,
    judge,
)

SAYS: tuple[Says, ...] = ("gone", "under way", "unknown", "contradiction", "alive", "nothing")


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


def row_at(*moments: float, seen: Seen | None = None) -> Seen:
    """Return what was seen where its key names it at these moments, and its status does not."""
    return looks(seen or accepted(), *[(at, "contradiction") for at in moments])


PROVED, KEPT = Verdict(proved=True), Verdict(proved=True, kept_row=True)
NO_LOOK = Verdict(ask=True, why="the router was not asked yet")
ALIVE = Verdict(ask=True, why="it says alive")
DELETING = "the router is still deleting it"
UNACCEPTED = "it is not found, but the router has accepted no delete (for {} s of 10 s)"
NAMED = "it is not found, but its key names it: it says contradiction (for {} s of {} s)"
HELD = NAMED.format(5, 5)


def again(at: float, why: str) -> Verdict:
    return Verdict(next_look=at, why=why)


CASES: dict[str, tuple[Seen, Verdict]] = {
    # What was seen, and what follows. By a sweep, or at a last look, or of a router that is known
    # to keep rows, where the name says so.
    "nothing": (Seen(), NO_LOOK),
    "a look alone": (looks(Seen(), (0, "gone")), NO_LOOK),
    "an answer alone": (accepted(), NO_LOOK),
    "gone": (looks(accepted(), (0, "gone")), PROVED),
    "gone, unasked, by a sweep": (looks(not_there(), (0, "gone")), PROVED),
    "gone, after a fault, at a last look": (looks(failed(), (0, "gone")), PROVED),
    "under way": (looks(accepted(), (0, "under way")), PROVED),
    "under way, by a sweep": (
        looks(accepted(), (3, "under way")),
        again(4, f"{DELETING} (for 0 s of 10 s)"),
    ),
    "under way for long enough, by a sweep": (
        *(looks(accepted(), (3, "under way"), (13, "under way")), PROVED),
    ),
    "under way, at a last look": (
        *(looks(accepted(), (3, "under way"), (13, "under way")), Verdict(why=DELETING)),
    ),
    "unknown": (looks(accepted(), (0, "unknown")), PROVED),
    "unknown, accepted before a fault": (looks(failed(2, accepted()), (2, "unknown")), PROVED),
    "unknown, accepted, and alive since": (
        looks(not_there(1, looks(accepted(), (0, "alive"))), (1, "unknown")),
        again(2, UNACCEPTED.format(0)),
    ),
    "unknown, accepted twice, and alive after each": (
        looks(
            not_there(2, looks(accepted(1, looks(accepted(), (0, "alive"))), (1, "alive"))),
            *[(2, "nothing"), (3, "unknown")],
        ),
        again(4, UNACCEPTED.format(0)),
    ),
    "unknown, accepted since it was alive": (
        *(looks(accepted(1, looks(accepted(), (0, "alive"))), (1, "unknown")), PROVED),
    ),
    "unknown, under way since it was alive": (
        looks(not_there(1, looks(accepted(), (0, "alive"))), (1, "under way"), (2, "unknown")),
        PROVED,
    ),
    "unknown, unasked": (looks(not_there(), (1, "unknown")), again(2, UNACCEPTED.format(0))),
    "unknown, unasked, for a while": (
        looks(not_there(), (1, "unknown"), (9, "unknown")),
        again(10, UNACCEPTED.format(8)),
    ),
    "unknown, unasked, long enough": (
        *(looks(not_there(), (1, "unknown"), (11, "unknown")), PROVED),
    ),
    "unknown, and a look between that proves nothing": (
        *(looks(failed(), (1, "unknown"), (5, "nothing"), (11, "unknown")), PROVED),
    ),
    "unknown, and alive between": (
        looks(not_there(), (1, "unknown"), (5, "alive"), (11, "unknown")),
        again(12, UNACCEPTED.format(0)),
    ),
    "unknown, and its key names another now": (
        looks(not_there(), (1, "unknown")).saw(Look(11, "unknown", "", "another")),
        again(12, UNACCEPTED.format(0)),
    ),
    "a contradiction": (row_at(0), again(1, NAMED.format(0, 5))),
    "a contradiction, just before its time": (row_at(0, 4.5), again(5, NAMED.format(4, 5))),
    "a contradiction, held": (row_at(0, 5), Verdict(ask=True, why=HELD)),
    "a further delete finds nothing": (row_at(5, seen=not_there(5, row_at(0, 5))), KEPT),
    "a further delete fails": (
        row_at(5, seen=failed(5, row_at(0, 5))),
        Verdict(ask=True, why=HELD),
    ),
    "a further delete is accepted": (row_at(5, seen=accepted(5, row_at(0, 5))), again(6, HELD)),
    "a further delete was accepted long ago": (row_at(15, seen=accepted(5, row_at(0, 5))), KEPT),
    "a contradiction, unasked, held for less than ten seconds": (
        row_at(0, 6, seen=not_there()),
        again(7, NAMED.format(6, 10)),
    ),
    "a contradiction, by a router that keeps rows": (row_at(0), again(1, NAMED.format(0, 1))),
    "held, by a router that keeps rows": (row_at(1, seen=not_there(1, row_at(0))), KEPT),
    "alive": (looks(accepted(), (0, "alive")), ALIVE),
    "alive for ever": (looks(accepted(), (0, "alive"), (999, "alive")), ALIVE),
    "gone, then alive": (looks(accepted(), (0, "gone"), (1, "alive")), ALIVE),
    "nothing that proves": (
        *(looks(accepted(), (0, "nothing")), Verdict(ask=True, why="it says nothing")),
    ),
    "neither answer proves": (
        *(looks(failed(), (0, "nothing")), Verdict(ask=True, why="HTTP 503; it says nothing")),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_was_seen_proves_what_the_table_says(name: str) -> None:
    seen, verdict = CASES[name]
    by = {"patient": "by a sweep" in name, "last": "at a last look" in name}
    by["keeps_rows"] = "keeps rows" in name
    assert judge(seen, **by) == verdict


# Exact in binary: sums of them have no rounding.
PAUSES = st.sampled_from([0.0, 0.25, 0.875, 1.0, 1.125, 4.875, 5.0, 9.875, 10.0, 11.0])
ANSWERS = st.sampled_from(["accepted", "found nothing", "failed", "none"])
Steps = list[tuple[float, str, Says]]
STEPS = st.lists(st.tuples(PAUSES, ANSWERS, st.sampled_from(SAYS)), min_size=1, max_size=12)


def after(steps: Steps) -> tuple[Seen, str, float, float]:
    """Return what was seen, the last answer and since when it has held, and the end.

    Before each look a DELETE may be answered; looks that prove nothing do not count.
    """
    seen, now, since, held = Seen(), 0.0, 0.0, ""
    for pause, answer, says in steps:
        now += pause
        if answer == "failed":
            seen = failed(now, seen)
        elif answer != "none":
            seen = seen.answered(now, accepted=answer == "accepted")
        seen = seen.saw(Look(now, says, says))
        if says not in ("nothing", held):
            since, held = now, says
    return seen, held, since, now


@given(STEPS, st.booleans(), st.booleans())
def test_what_is_proved_has_held_as_long_as_it_must_and_what_lasts_is_proved(
    steps: Steps, keeps_rows: bool, patient: bool
) -> None:
    seen, held, since, now = after(steps)
    says: Says = "unknown" if steps[-1][2] in ("alive", "nothing") else steps[-1][2]
    while not (verdict := judge(seen, keeps_rows=keeps_rows, patient=patient)).proved:
        # Whoever does what the verdict says comes to an end, if the router is constant from now on.
        assert verdict.why
        if verdict.ask:
            seen = seen.answered(now, accepted=False)
        assert verdict.next_look is None or verdict.next_look > now
        now = verdict.next_look or now + 0.25
        assert now < 200
        seen = seen.saw(Look(now, says, says))
        if says != held:
            since, held = now, says
    assert seen.asked is not None
    was_accepted = False
    for _, answer, said in steps:
        was_accepted |= answer == "accepted" or said == "under way"
        was_accepted &= said != "alive"
    if says in ("unknown", "contradiction") and not was_accepted:
        assert now - since >= UNASKED
    if says == "under way" and patient:
        assert now - since >= UNDER_WAY
    if says == "contradiction":
        assert now - since >= (KNOWN_ROW if keeps_rows else KEPT_ROW)
        assert verdict.kept_row
        assert seen.refused is None
        assert seen.found_nothing or now - seen.asked >= UNASKED
