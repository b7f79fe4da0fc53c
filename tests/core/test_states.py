"""What is known of an instance in each state."""

from __future__ import annotations

from pytest_hydrasmoke._core.states import CLOSED, HAS_ROW, NOTHING_TO_DELETE, SETTLED, State


def test_nobody_needs_to_look_again_only_where_that_is_known() -> None:
    assert {State.UNUSED, State.ABSENT, State.DELETED} == CLOSED
    still_open = {State.CLAIMED, State.REFUSED, State.GONE}
    assert CLOSED | still_open == NOTHING_TO_DELETE, "a proof is of a moment, and so is a refusal"
    assert NOTHING_TO_DELETE | {State.KEPT} == SETTLED, "what was left on purpose is left"


def test_a_row_is_known_of_only_where_the_router_showed_one() -> None:
    assert {State.CREATED, State.READY, State.FAILED, State.DELETING, State.KEPT} == HAS_ROW
