"""Which keys a sweep asks for where no ledger tells, and how it names keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hydrasmoke._run.slots import AHEAD, NAMES, Slots, spans

RUN = "night"
NAMED = [f"{RUN}-{name}" for name in NAMES]


def slots(*numbers: int) -> list[str]:
    return [f"{RUN}-{number}" for number in numbers]


def test_without_a_row_the_first_slots_and_the_names_are_asked_for_once() -> None:
    asked = Slots(RUN, (), 4)
    assert [*asked.more()] == [*slots(*range(AHEAD)), *NAMED]
    assert [*asked.more()] == []
    assert asked.words == f"slots 0-{AHEAD - 1}, nor under the bundled checks' names"


def test_a_run_that_may_have_used_more_is_asked_for_that_many() -> None:
    assert [*Slots(RUN, (), 100).more()] == [*slots(*range(100)), *NAMED]


def test_each_row_that_was_found_moves_the_end() -> None:
    asked = Slots(RUN, (), 4)
    assert len([*asked.more()]) == AHEAD + len(NAMES)
    assert [*asked.more(slots(1))] == slots(AHEAD, AHEAD + 1)
    assert [*asked.more(slots(1, 0))] == []
    assert [*asked.more(slots(1, AHEAD))] == slots(*range(AHEAD + 2, 2 * AHEAD + 1))


def test_what_a_ledger_has_is_not_asked_for_twice_and_moves_the_end_too() -> None:
    asked = Slots(RUN, [*slots(0, 2), NAMED[0]], 4)
    assert [*asked.more()] == [*slots(1, *range(3, 3 + AHEAD)), *NAMED[1:]]


@pytest.mark.parametrize("strange", ["other-70", f"{RUN}-x", f"{RUN}-070", f"{RUN}-99999999999"])
def test_a_key_that_is_no_slot_of_the_run_moves_nothing(strange: str) -> None:
    assert len([*Slots(RUN, [strange], 4).more([strange])]) == AHEAD + len(NAMES)


@given(st.sets(st.integers(0, 200)), st.integers(1, 120))
def test_every_slot_up_to_the_end_of_a_long_gap_is_asked_for(used: set[int], most: int) -> None:
    asked, found, seen = Slots(RUN, (), most), set[str](), list[str]()
    while new := [*asked.more(found)]:
        seen += new
        found |= {*new} & {*slots(*used)}
    assert len(seen) == len({*seen})
    last = -1
    for number in sorted(used):
        if number - last <= max(AHEAD, most):
            last = number
    assert found == {*slots(*(number for number in used if number <= last))}
    assert {*seen} == {*slots(*range(last + 1 + max(AHEAD, most))), *NAMED}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["a-10", "a-2", "a-9"], "a-2, a-9 to a-10"),
        (["b-0", "a-0", "a-1"], "a-0 to a-1, b-0"),
        (["a-0", "a-2", "a-4", "a-6"], "a-0, a-2, a-4 and 1 more"),
        (["a-x", "a-0"], "a-x, a-0"),
        (["a-x", "a-y"], "a-x, a-y"),
    ],
)
def test_keys_are_named_in_the_order_of_their_slots(keys: list[str], words: str) -> None:
    assert spans(keys) == words
    assert spans(keys[::-1]) == words
