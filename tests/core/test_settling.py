"""When an account of LLM events may begin: the rules, on made-up moments."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hydrasmoke._core.account import Count, Doubt
from pytest_hydrasmoke._core.settling import (
    ENOUGH,
    FEW,
    FINEST,
    LEAST,
    ROWLESS,
    Lags,
    Settling,
    Waits,
    apply,
)
from pytest_hydrasmoke._journal.chat import Counted, TurnBegan, TurnOver
from pytest_hydrasmoke._journal.events import Blamed, Event

WAITS = Waits(5.0, 30.0, 2.0)


class Turns:
    """The turns on one instance, and what they show of its rows."""

    def __init__(self, **lags: Any) -> None:
        self.known, self.lags = Settling(), Lags(**lags)

    @property
    def now(self) -> Settling:
        return self.known._replace(lags=self.lags)

    def add(self, at: float, event: Event) -> Turns:
        self.known, self.lags = apply(self.known, self.lags, at, event)
        return self

    def begin(self, count: int | None = 0, at: float = 90.0, *, sure: bool = True) -> Turns:
        return self.add(at, TurnBegan(1, None, "test_a", before=count, sure=sure))

    def over(self, how: str = "ended", at: float = 100.0, *, late: bool = False) -> Turns:
        return self.add(at, TurnOver(self.known.number, how, late=late))

    def look(self, *looks: tuple[float, int], met: bool = False) -> Turns:
        """Look at these times, and see so many each time."""
        for at, count in looks:
            self.add(at, Counted(count, asked=at, met=met))
        return self


def ended(how: str = "ended", *looks: tuple[float, int], **lags: Any) -> Turns:
    """Return a first turn that ended at 100, and what was seen of it since."""
    return Turns(**lags).begin().over(how).look(*looks)


def test_before_the_first_turn_there_is_nothing_to_wait_for() -> None:
    turns = Turns().look((1.0, 3)).over()
    assert turns.now == Settling()
    assert turns.now.settled_from(WAITS) == turns.now.final_from(WAITS) == -math.inf
    assert turns.now.step(7.0) == math.inf


ONCE = (100.2, 1)
KNOWN = {"longest": 0.2, "in_time": ENOUGH}
SETTLED: dict[str, tuple[Turns, float]] = {
    # A turn, and when it is settled.
    "a row": (ended("ended", ONCE), 105),
    "not often enough in time": (ended("ended", ONCE, longest=0.2, in_time=ENOUGH - 2), 105),
    "often enough": (ended("ended", ONCE, **KNOWN), 101),
    "often enough, and left": (ended("left", ONCE, **KNOWN), 105),
    "often enough, and cut": (ended("cut", ONCE, **KNOWN), 105),
    "often enough, and no row": (ended(**KNOWN), 105),
    **{
        f"twice {longest}": (ended("ended", ONCE, longest=longest, in_time=ENOUGH), settled)
        for longest, settled in ((0.0, 101), (0.4, 101), (0.6, 101.2), (2.4, 104.8), (2.6, 105))
    },
    # Before anything is known, a turn without a row is watched for longer.
    "no row, and nothing known": (ended(), 130),
    "no row, left": (ended("left"), 130),
    "no row, one in time": (ended(longest=0.2, in_time=FEW - 1), 130),
    "no row, two in time": (ended(longest=0.2, in_time=FEW), 105),
    "no row, as others before": (ended(unexpected=1, rowless=ROWLESS), 105),
    "no row, and one was late": (ended(longest=5.0), 105),
    "met": (ended().look((105.0, 0), met=True), -math.inf),
    "met, and one more came": (ended().look((105.0, 0), met=True).look((106.0, 1)), 105),
    "under way": (Turns().begin(), math.inf),
    "no row after a doubtful count": (Turns().begin(None).over().look((104.0, 0)), 130),
    "after a doubtful count": (Turns(**KNOWN).begin(None).over().look(ONCE), 105),
}


@pytest.mark.parametrize("name", SETTLED)
def test_a_turn_is_settled_so_long_after_its_end(name: str) -> None:
    turns, settled = SETTLED[name]
    assert turns.now.settled_from(WAITS) == pytest.approx(settled)
    if settled > 0:
        # What a run has proved to be late is waited for twice, where it may be too much.
        late = 110 if turns.lags.proved >= WAITS.settle else 0
        assert turns.now.final_from(WAITS) == pytest.approx(max(settled, late))


def test_a_wait_for_what_is_late_ends_where_nothing_is_waited_for() -> None:
    assert ended("ended", ONCE, longest=20.0).now.final_from(WAITS) == 130
    assert ended().now.settled_from(Waits(5.0, 2.0, 2.0)) == 105, (
        "never earlier than the setting says"
    )


DOUBLED = TurnOver(1, "ended", late=True)
MEASURED: dict[str, tuple[Turns, float | None, int]] = {
    # A turn; the longest lag then, and how many were in time.
    "seen at once": (ended("ended", ONCE), 0.0, 1),
    "seen between two looks": (ended("ended", (100.9, 0), (101.1, 1)), 0.9, 1),
    "two rows": (ended("ended", ONCE, (100.8, 2)), 0.2, 1),
    "a row before the end": (Turns().begin().look((95.0, 1)).over().look((100.1, 2)), 0.0, 0),
    "nobody looked for long": (ended("ended", (104.0, 1)), 0.0, 0),
    "a second row that nobody could date": (
        ended("ended", ONCE, (104.0, 2), in_time=ENOUGH - 1),
        *(0.2, 0),
    ),
    "as late as another": (ended("ended", (104.0, 1), longest=2.0), 2.0, 1),
    "late": (ended("ended", (105.0, 0), (105.2, 1)), 5.0, 1),
    "no row": (ended("ended", (105.0, 0)), None, 0),
    "left": (ended("left", (100.1, 0), ONCE), 0.0, 0),
    "an end that was seen late": (Turns().begin().add(100.0, DOUBLED).look(ONCE), 0.0, 0),
    "after a doubtful count": (Turns().begin(sure=False).over().look((107.0, 0), (108.0, 1)), 7, 0),
}


@pytest.mark.parametrize("name", MEASURED)
def test_what_looks_measure(name: str) -> None:
    turns, longest, in_time = MEASURED[name]
    assert turns.lags[:2] == (longest and pytest.approx(longest), in_time)


def test_what_says_nothing_of_turns_changes_nothing() -> None:
    before = ended().now
    for event in (Blamed(), Counted(7), TurnOver(2, "left")):
        assert ended().add(200.0, event).now == before


def test_looks_are_close_enough_to_date_a_row_and_not_before_it_may_be_there() -> None:
    assert ended().now.step(100.0) == FINEST
    assert ended().now.step(100.8) == pytest.approx(0.4)
    assert ended().now.step(101.6) == pytest.approx(0.2)
    assert ended(**KNOWN).now.step(100.05) == pytest.approx(0.15)
    assert ended(**KNOWN).now.step(100.3) == pytest.approx(0.15)
    assert ended("left").now.step(100.0) == math.inf, "there is nothing to be learned"


def test_nobody_waits_after_three_turns_without_a_row_in_a_run_without_any() -> None:
    turns = ended()
    for number in range(1, ROWLESS + 1):
        assert turns.now.impatience(5.0) is None, "of the last one nobody knows yet"
        turns.begin(0, 100.0 + 100 * number).over(at=150.0 + 100 * number)
    why = turns.now.impatience(5.0)
    assert why is not None
    assert why.why.endswith("the 3 turns before left none, so there was no wait")
    # One that may hold another's rows says nothing about its own.
    assert turns.begin(None, 900.0).lags.unexpected == ROWLESS
    assert turns.over(at=901).begin(0, 902.0).lags.unexpected == ROWLESS
    # They do come after all.
    assert turns.look((903.0, 1)).now.impatience(5.0) is None


def test_a_turn_that_is_refused_makes_the_one_before_no_more_rowless() -> None:
    turns = ended()
    for number in range(1, 9):
        turns.begin(0, 100.0 + 10 * number).over("refused", 101.0 + 10 * number)
    assert turns.lags == Lags(unexpected=1, rowless=1)
    assert turns.begin(0, 300.0).lags.rowless == 1


def test_a_count_that_was_asked_for_before_a_turn_is_over_says_nothing_of_its_rows() -> None:
    turns = Turns().begin(0, 90.0).add(91.0, Counted(1, asked=89.0))
    assert turns.lags.longest is None
    turns.over().add(101.0, Counted(1, asked=99.0))
    assert turns.lags == Lags()
    assert turns.look((102.0, 1)).lags.longest == 0.0


def test_a_turn_that_leaves_none_as_its_test_expects_is_not_among_them() -> None:
    turns = ended()
    for number in range(1, 9):
        at = 100.0 * number
        turns.look((at + 6, 0), met=True).begin(0, at + 7).over(at=at + 50)
    assert turns.lags == Lags(unexpected=0, rowless=8)
    assert turns.now.impatience(5.0) is None
    assert turns.now.final_from(WAITS) == 855, "nobody watches for ever"


def test_without_a_wait_there_is_a_doubt() -> None:
    why = ended("ended", ONCE).now.impatience(0.0)
    assert why is not None
    assert why.next_step == "set HYDRA_SMOKE_USAGE_SETTLE to more than 0"


@pytest.mark.parametrize(
    ("longest", "waited", "doubtful"),
    [(None, 1.0, False), (4.9, 5.0, False), (5.0, 9.9, True), (5.0, 10.0, False), (7, 5.0, True)],
)
def test_a_count_is_doubtful_once_rows_are_known_to_be_later(
    longest: float | None, waited: float, doubtful: bool
) -> None:
    turns = ended(longest=longest).now
    doubt = turns.doubt(Count(1.0, waited=waited, earlier="test_x"), 5.0)
    assert (doubt is not None) is doubtful
    if doubt is not None:
        assert doubt.why == (
            "LLM events of the turn before, of test_x, may be among them: an event of this run "
            f"came {longest:.1f} s after its turn's end or later, usage_settle is 5 s, and this "
            f"turn began {waited:.1f} s after the one before"
        )
        assert doubt.next_step.startswith("raise HYDRA_SMOKE_USAGE_SETTLE to 1")
    assert turns.doubt(Count(1.0), 5.0) is None, "there was no turn before, or it owes nothing"
    known = Doubt("why", "step")
    assert turns.doubt(Count(1.0, waited=1.0, doubt=known), 5.0) is known


@given(lag=st.floats(0, 4.5), begins=st.floats(0, 0.05), answer=st.floats(0, 0.05))
def test_watching_a_turn_measures_its_rows_and_hardly_less(
    lag: float, begins: float, answer: float
) -> None:
    turns, asked, looks = ended(), 100 + begins, 0
    while turns.lags.longest is None:
        # The router counts at some moment while it is asked.
        now = asked + answer
        turns.add(now, Counted(int(100 + lag <= asked), asked=asked))
        asked = now + turns.now.step(now)
        looks += 1
    # A look just before LEAST has the next one half as much later.
    share = 3 / 2 if lag < LEAST * 3 / 2 else 9 / 8
    assert turns.lags.longest <= lag <= turns.lags.longest * share + FINEST + begins + 2 * answer
    assert turns.lags.in_time == 1
    assert looks < 60
