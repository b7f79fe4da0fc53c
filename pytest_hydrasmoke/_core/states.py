"""What is known of an instance, and what follows for its deletion."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """What is known of an instance: facts, in the order in which they become known."""

    CLAIMED = "claimed"
    """It has a key; nothing was sent."""
    REQUESTED = "requested"
    """The request may have left: from here on there may be an instance."""
    ACCEPTED = "accepted"
    CREATED = "created"
    READY = "ready"
    FAILED = "failed"
    """The router reports that it failed; its row is still to be deleted."""
    REFUSED = "refused"
    """The router refused the request: there is no instance."""
    ABSENT = "absent"
    """The router has no row for the key, after polling to the deadline."""
    DELETING = "deleting"
    """The router accepted the request to delete it."""
    DELETED = "deleted"
    """The router confirmed that it is gone."""
    KEPT = "kept"
    """It was left on purpose (`keep`)."""


HAS_ROW = frozenset({State.CREATED, State.READY, State.FAILED, State.DELETING, State.KEPT})
"""States in which the router had a row for it: after that, "not found" means gone."""
NOTHING_LEFT = frozenset({State.CLAIMED, State.REFUSED, State.ABSENT, State.DELETED})
SETTLED = NOTHING_LEFT | {State.KEPT}
"""States in which the run has nothing more to do for an instance."""
