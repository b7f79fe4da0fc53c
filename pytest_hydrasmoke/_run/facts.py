"""Which fact of the ledger each state of an instance is, and which state a fact leaves it in."""

from __future__ import annotations

from pytest_hydrasmoke._core.record import State

from .ledger import Fact

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
    # One that was being deleted when its process died is deleted again.
    Fact.DELETING: State.CREATED,
}
