"""When an account of LLM events may begin: the rules, on made-up moments."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hydrasmoke._core.settling import (
    FINEST,
    LEAST,
    ROWLESS,
    WATCHED,
    LastTurn,
    Measured,
    Settling,
    apply,
)
from pytest_hydrasmoke._journal.chat import Counted, TurnBegan, TurnOver
from pytest_hydrasmoke._journal.events import Blamed

WHOLE = 5.0
KNOWN = Measured(0.2, WATCHED)


def start(
    count: int | None = 0, at: float = 90.0, turns: Settling | None = None, *, sure: bool = True
) -> Settling:
    began = TurnBegan(1, None, "test_a", before=count, sure=sure)
    return apply(turns or Settling(), at, began, None)


def over(turns: Settling, how: str, at: float) -> Settling:
    return apply(turns, at, TurnOver(turns.number, how), None)


def seen(
    turns: Settling, asked: float, at: float, count: int, known: Measured | None = None
) -> Settling:
    longest = turns.longest if known is None else known.longest
    whole = turns.last is not None and asked >= turns.last.ended + WHOLE
    return apply(turns, at, Counted(count, asked=asked, whole=whole), longest)


def knowing(turns: Settling, known: Measured | None = None) -> Settling:
    """Let the run have measured this, or what it has measured of this instance alone."""
    return turns._replace(run=known or Measured(turns.longest, turns.watched))


def ended(how: str = "ended", **changes: Any) -> Settling:
    """Return an instance whose first turn ended at 100, with no row yet."""
    return over(start(), how, 100.0)._replace(**changes)


def looked(turns: Settling, *looks: tuple[float, int], known: Measured | None = None) -> Settling:
    """Look at these times, and see so many each time."""
    for at, count in looks:
        turns = seen(turns, at, at, count, known)
    return turns


def test_before_the_first_turn_there_is_nothing_to_wait_for() -> None:
    assert Settling().settled_from(WHOLE) == -math.inf
    assert Settling().next_look(WHOLE, 7.0) == -math.inf
    assert Settling(run=KNOWN).late_until(WHOLE) == -math.inf
    assert not Settling(run=KNOWN).too_soon(0.0)
    assert not Settling().silent
    assert seen(Settling(), 1.0, 1.0, 3, KNOWN) == Settling()
    assert over(Settling(), "ended", 1.0) == Settling()


ONCE = looked(ended(), (100.2, 1))
SETTLED: dict[str, tuple[Settling, Measured, float, float]] = {
    # A turn, what is known, the setting, and from when it is settled.
    "nobody has watched": (ONCE, Measured(0.2, 0), WHOLE, 105),
    "watched once": (ONCE, Measured(0.2, 1), WHOLE, 105),
    "watched enough": (ONCE, KNOWN, WHOLE, 101),
    "watched, and nothing measured": (ONCE, Measured(None, WATCHED), WHOLE, 105),
    "no row": (looked(ended(), (103.0, 0)), KNOWN, WHOLE, 105),
    "under way": (start(), KNOWN, WHOLE, math.inf),
    "a short setting": (ONCE, KNOWN, 0.1, 100.1),
    **{how: (looked(ended(how), (100.2, 1)), KNOWN, WHOLE, 105) for how in ("left", "failed")},
    **{
        f"twice {longest}": (ONCE, Measured(longest, WATCHED), WHOLE, settled)
        for longest, settled in ((0.0, 101), (0.4, 101), (0.6, 101.2), (2.4, 104.8), (2.6, 105))
    },
}


@pytest.mark.parametrize("name", SETTLED)
def test_a_turn_is_settled_twice_the_longest_time_after_its_end(name: str) -> None:
    turns, known, limit, settled = SETTLED[name]
    turns = knowing(turns, known)
    assert turns.settled_from(limit) == pytest.approx(settled)
    if name.startswith("twice"):
        assert turns.too_soon(settled) is (settled == 105)
    if name in ("left", "failed"):
        assert turns.next_look(WHOLE, 100.3) == 105, "there is nothing to be learned"
        assert turns.longest == 0.0, "but rows do come"


BEFORE_ITS_END = over(looked(start(), (95.0, 1)), "ended", 100.0)
LOOKED: dict[str, tuple[Settling, list[tuple[float, int]], float | None, int]] = {
    # A turn, the looks; the longest time then, and how often it was watched.
    "any row": (
        ended(),
        [(100.05, 0), (100.1, 1), (100.15, 1), (100.2, 2), (105.0, 2), (106.0, 2)],
        *(0.2, 1),
    ),
    "a row before the end": (BEFORE_ITS_END, [(100.05, 1), (100.1, 2), (105.0, 2)], 0.1, 1),
    "a first look that comes late": (ended(), [(103.0, 1), (106.0, 1)], 0.0, 0),
    "late, by nobody knows how much": (
        ended(longest=0.2, watched=WATCHED),
        [(100.3, 1), (101.0, 1), (104.0, 2)],
        *(1.0, 0),
    ),
    "not to the end": (ended(), [(100.05, 1), (104.9, 1)], 0.05, 0),
    "to the end": (ended(), [(100.05, 1), (105.0, 1)], 0.05, 1),
    "no row": (ended(), [(105.0, 0)], None, 0),
    "left": (ended("left"), [(100.05, 1), (105.0, 1)], 0.0, 0),
    "an end that was seen late": (
        apply(start(), 100.0, TurnOver(1, "ended", late=True), None),
        [(100.05, 1), (105.0, 1)],
        *(0.05, 0),
    ),
    "a little later than ever": (ended(longest=0.2), [(100.01, 0), (100.21, 1)], 0.2, 0),
    "longer than ever": (ended(longest=0.2), [(100.3, 0), (100.5, 1)], 0.5, 0),
}


@pytest.mark.parametrize("name", LOOKED)
def test_what_looks_measure(name: str) -> None:
    turns, looks, longest, watched = LOOKED[name]
    then = looked(turns, *looks)
    assert (then.longest, then.watched) == (longest and pytest.approx(longest), watched)


def test_what_says_nothing_of_turns_changes_nothing() -> None:
    assert apply(ended(), 200.0, Blamed(), None) == ended()
    assert apply(ended(), 200.0, Counted(7), None) == ended(), "a count that only readers need"
    assert apply(ended(), 200.0, TurnOver(2, "left"), None) == ended()


def test_what_is_known_is_not_looked_for_before_it_can_be_there() -> None:
    assert ended().next_look(WHOLE, 100.0) == 100 + FINEST
    assert ended().next_look(WHOLE, 100.8) == pytest.approx(101.2)
    assert ended().next_look(WHOLE, 101.6) == pytest.approx(101.8)
    assert ended().next_look(WHOLE, 104.8) == 105
    assert ended(run=KNOWN).next_look(WHOLE, 100.01) == 100.2
    assert ended(run=KNOWN).next_look(WHOLE, 100.3) == pytest.approx(100.45)
    once = looked(ended(run=KNOWN), (100.2, 1), known=KNOWN)
    assert once.next_look(WHOLE, 100.8) == 101, "but not after it is settled"


def test_three_turns_in_a_row_without_a_row_are_hopeless() -> None:
    turns = ended(rowless=ROWLESS - 1)
    assert not turns.hopeless, "of the third nobody knows yet"
    assert (then := start(0, 200.0, turns)).hopeless
    # One that may hold another's rows says nothing about its own.
    assert start(None, 300.0, then).rowless == then.rowless
    assert seen(then, 210.0, 210.0, 1).rowless == 0, "they do come after all"
    assert start(1, 200.0, looked(turns, (100.1, 1))).rowless == 0


def test_a_turn_without_a_row_is_silent_until_the_run_has_seen_one() -> None:
    assert ended().silent
    assert not ended(run=Measured(0.0)).silent
    for how in ("failed", "cut"):
        assert not ended(how).silent, "it may have come to nothing"
    assert not looked(ended(), (100.1, 1)).silent
    assert not over(start(None), "ended", 100.0).silent, "nobody has counted before"


def test_rows_of_a_turn_that_was_left_may_come_until_any_turn_is_settled() -> None:
    last = LastTurn("test", 0, 1, 9.0, ended=10.0)
    for how, until in (("ended", 10.6), ("left", 15.0)):
        turns = Settling(1, last._replace(how=how), run=Measured(0.3, 2))
        assert turns.late_until(WHOLE) == until


@given(lag=st.floats(0, 4.5), begins=st.floats(0, 0.05), answer=st.floats(0, 0.05))
def test_watching_a_turn_measures_its_rows_and_hardly_more(
    lag: float, begins: float, answer: float
) -> None:
    turns, asked, looks = ended(), 100 + begins, 0
    while not turns.watched:
        # The router counts at some moment while it is asked.
        now = asked + answer
        turns = seen(turns, asked, now, int(100 + lag <= asked))
        asked = max(knowing(turns).next_look(WHOLE, now), now)
        looks += 1
    assert turns.longest is not None
    # A look just before LEAST has the next one half as much later.
    share = 3 / 2 if lag < LEAST * 3 / 2 else 9 / 8
    assert lag - 1e-9 <= turns.longest <= lag * share + FINEST + begins + 2 * answer + 1e-9
    assert looks < 60


def wrong_baselines(every: float | None) -> float:
    """Return the share of 300 baselines that miss rows unseen.

    A turn's rows are written in multiples of `every` seconds; without it, 1.2 to 2 s late.
    """
    chance, turns, now, wrong = random.Random(1), Settling(), 0.0, 0
    rows: list[float] = []
    for _ in range(300):
        while True:
            count = sum(it <= now for it in rows)
            turns = knowing(seen(turns, now, now, count))
            if now >= turns.settled_from(WHOLE):
                break
            now = turns.next_look(WHOLE, now)
        sure = not turns.too_soon(now)
        wrong += sure and count < len(rows)
        turns = start(count, now, turns, sure=sure)
        now += 4.0 + chance.random()
        turns = over(turns, "ended", now)
        for call in (now - 4.0, now - 2.0, now):
            late = chance.uniform(1.2, 2.0)
            rows.append(math.ceil(call / every) * every if every else call + late)
    return wrong / 300


@pytest.mark.parametrize(("every", "most"), [(None, 0.0), (2.0, 0.0), (5.0, 0.02)])
def test_baselines_are_right_with_calls_two_seconds_apart(every: float, most: float) -> None:
    assert wrong_baselines(every) <= most
