"""What is known of an instance in each state."""

from __future__ import annotations

from pytest_hydrasmoke._core.states import HAS_ROW, NOTHING_LEFT, SETTLED, State


def test_nothing_is_left_only_where_that_is_known() -> None:
    assert {State.CLAIMED, State.REFUSED, State.ABSENT, State.DELETED} == NOTHING_LEFT
    assert NOTHING_LEFT | {State.KEPT} == SETTLED, "what was left on purpose is left"


def test_a_row_is_known_of_only_where_the_router_showed_one() -> None:
    assert {State.CREATED, State.READY, State.FAILED, State.DELETING, State.KEPT} == HAS_ROW
