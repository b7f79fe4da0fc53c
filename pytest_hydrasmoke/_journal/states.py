"""What is known of an instance, and what follows for its deletion."""

from __future__ import annotations

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
