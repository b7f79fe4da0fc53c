"""The table of an instance's states: what may follow what, and what never does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_io import ID, OTHER_ID, instance

from pytest_hydrasmoke._journal.events import Became
from pytest_hydrasmoke._journal.states import (
    CLOSED,
    HAD_ROW,
    HAS_ROW,
    LATE,
    TRANSITIONS,
    State,
    StateError,
    check_transition,
)

STATES = st.sampled_from(State)
IDS = st.sampled_from((None, ID, OTHER_ID))


def test_the_table_has_every_state_and_what_it_must_not_have() -> None:
    assert {*TRANSITIONS} == {*State}
    steps = {(before, after) for before, those in TRANSITIONS.items() for after in those}
    afters = {after for _, after in steps}
    assert State.CLAIMED not in afters, "a claim is no step of an instance"
    assert State.ABSENT not in afters, "only a sweep knows that"
    for before in HAD_ROW | {State.ACCEPTED}:
        assert not TRANSITIONS[before] & {State.UNUSED, State.REFUSED}, f"{before} was requested"
    for before in State:
        if before not in (State.CLAIMED, State.ABSENT):
            assert (before, State.CREATED) in steps, f"its key may name an instance: {before}"
        if before in HAS_ROW:
            ends = {State.DELETING, State.GONE, State.DELETED}
            assert ends <= TRANSITIONS[before], f"it may be deleted: {before}"
    kept = {before for before, after in steps if after is State.KEPT}
    assert kept == HAS_ROW - {State.DELETING, State.KEPT}


@given(before=STATES, after=STATES)
def test_a_step_that_the_table_does_not_have_is_refused_and_leaves_no_trace(
    before: State, after: State
) -> None:
    it = instance(id=ID, state=before)
    if after in TRANSITIONS[before]:
        check_transition(before, after)
        it.note(Became(after, ID))
        assert it.state is after
        return
    with pytest.raises(StateError, match=f"be {after} after it was {before}"):
        it.note(Became(after, ID))
    assert it.state is before


@given(first=STATES, steps=st.lists(st.tuples(STATES, IDS), max_size=12))
def test_any_walk_stays_within_the_table_and_forgets_no_instance(
    first: State, steps: list[tuple[State, str | None]]
) -> None:
    it = instance(id=ID, state=first)
    for after, named in steps:
        before, ids = it.state, [*it.ids]
        try:
            it.becomes(after, named)
        except StateError:
            assert after not in LATE, "an answer that comes late is no bug"
            assert it.state is before
        if it.state is not before:
            assert it.state in TRANSITIONS[before]
        assert it.ids[: len(ids)] == ids, "what its key has named is its to delete"
        if it.state in CLOSED and before not in CLOSED:
            assert it.state is State.DELETED or not it.ids or before is State.REQUESTED
