"""What is known of an instance, what may become known next, and what follows for its deletion."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """What is known of an instance: facts, in the order in which they become known."""

    CLAIMED = "claimed"
    """It has a key; nothing was sent."""
    UNUSED = "unused"
    """Nothing was sent, and nothing will be: its key is free again."""
    REQUESTED = "requested"
    """The request may have left: from here on there may be an instance."""
    ACCEPTED = "accepted"
    CREATED = "created"
    READY = "ready"
    FAILED = "failed"
    """The router reports that it failed; its row is still to be deleted."""
    REFUSED = "refused"
    """The router refused the request, and may carry it out all the same: its key is asked for once
    more at the run's end."""
    ABSENT = "absent"
    """The router has no row for the key, and none is to come: only a sweep can know that."""
    DELETING = "deleting"
    """The router accepted the request to delete it."""
    GONE = "gone"
    """It was proved gone, and may come back: only a last look shows that it does not."""
    DELETED = "deleted"
    """A last look has seen it gone."""
    KEPT = "kept"
    """It was left on purpose (`keep`)."""


HAS_ROW = frozenset({State.CREATED, State.READY, State.FAILED, State.DELETING, State.KEPT})
"""States in which the router had a row for it: after that, "not found" means gone."""
HAD_ROW = HAS_ROW | {State.GONE, State.DELETED}
"""The same, or those after them."""
CLOSED = frozenset({State.UNUSED, State.ABSENT, State.DELETED})
"""States after which nobody needs to look again."""
NOTHING_TO_DELETE = CLOSED | {State.CLAIMED, State.REFUSED, State.GONE}
SETTLED = NOTHING_TO_DELETE | {State.KEPT}
"""States in which the run has nothing to delete."""

_DELETED = frozenset({State.GONE, State.DELETED})
TRANSITIONS: Mapping[State, frozenset[State]] = {
    # An attached instance is claimed, and then ready.
    State.CLAIMED: frozenset({State.REQUESTED, State.UNUSED, State.READY}),
    State.UNUSED: frozenset({State.REQUESTED, State.CREATED}),
    # A key that is requested again in vain has its former state again.
    State.REQUESTED: frozenset(
        {State.REQUESTED, State.UNUSED, State.ACCEPTED, State.REFUSED, State.CREATED}
    )
    | {State.DELETING, *_DELETED},
    # One thread may wait for the answer to its request as another one deletes what the key names.
    State.ACCEPTED: frozenset({State.REQUESTED, State.ACCEPTED, State.CREATED, *_DELETED}),
    State.CREATED: frozenset({State.ACCEPTED, State.CREATED, State.READY, State.FAILED})
    | {State.KEPT, State.DELETING, *_DELETED},
    State.READY: frozenset({State.ACCEPTED, State.CREATED, State.FAILED})
    | {State.KEPT, State.DELETING, *_DELETED},
    State.FAILED: frozenset({State.ACCEPTED, State.CREATED, State.KEPT, State.DELETING, *_DELETED}),
    State.REFUSED: frozenset({State.REQUESTED, State.ACCEPTED, State.CREATED}),
    # Only a sweep knows it, and none goes on from there.
    State.ABSENT: frozenset(),
    State.DELETING: frozenset({State.REQUESTED, State.ACCEPTED, State.CREATED})
    | {State.DELETING, *_DELETED},
    State.GONE: frozenset({State.REQUESTED, State.ACCEPTED, State.CREATED, State.DELETED}),
    State.DELETED: frozenset({State.REQUESTED, State.ACCEPTED, State.CREATED}),
    # A test may delete what its settings keep.
    State.KEPT: frozenset({State.REQUESTED, State.ACCEPTED, State.CREATED})
    | {State.DELETING, *_DELETED},
}
"""What may follow each state, in a process of a run; what another process has written is taken as
it is. The docs' picture is drawn from this table."""
LATE = frozenset({State.UNUSED, State.REFUSED, State.READY, State.FAILED})
"""States that an answer tells, for which a thread may have waited too long: where `TRANSITIONS` has
no such step, the answer is no news. Any other such step is a bug, a `StateError`."""


class StateError(RuntimeError):
    """An instance was to take a step that `TRANSITIONS` does not have: a bug of this package."""


def check_transition(before: State, after: State) -> None:
    """Raise `StateError` unless one state may follow the other."""
    if after not in TRANSITIONS[before]:
        raise StateError(f"an instance can't be {after.value} after it was {before.value}")
