"""Map an instance's state to a fact of the ledger, and a fact back to a state."""

from __future__ import annotations

from pytest_hydrasmoke._core.states import State

from .ledger_lines import Fact

FACTS = {
    State.ACCEPTED: Fact.ACCEPTED,
    State.CREATED: Fact.CREATED,
    State.KEPT: Fact.KEPT,
    State.DELETING: Fact.DELETING,
    State.REFUSED: Fact.REFUSED,
    State.ABSENT: Fact.ABSENT,
    State.DELETED: Fact.DELETED,
}
STATES = {
    Fact.INTENT: State.REQUESTED,
    Fact.READY: State.READY,
    **{fact: state for state, fact in FACTS.items()},
    # If its process died during the deletion, it is deleted again.
    Fact.DELETING: State.CREATED,
}
