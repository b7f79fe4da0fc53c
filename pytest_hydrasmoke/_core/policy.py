"""The settings of a lifecycle: how long to wait for each step, and what status words mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pytest_hydrasmoke._base.commands import PLAIN, Commands
from pytest_hydrasmoke._base.evidence import Forms
from pytest_hydrasmoke._transport.protocol import LAST_CHANCE

from .proof import Manner

SECOND_LOOK = 2.0
"""Seconds until a count with an upper bound is read once more: duplicates come late."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds to wait for each step, and the meaning of the router's words (lower case)."""

    ready_timeout: float = 900.0
    chat_timeout: float = 120.0
    llm_events_timeout: float = 30.0
    usage_settle: float = 5.0
    """How long after its end a turn's LLM events may come, before the next turn begins."""
    delete_timeout: float = 60.0
    row_wait: float = 60.0
    """How long to ask for a key's row before a deletion; a worker may insert it late."""
    last_look: float = LAST_CHANCE
    """Timeout of the last poll, sent as the wait for a row ends."""
    keep: str = "never"
    ready: frozenset[str] = frozenset({"running", "active", "ready", "online"})
    failed: frozenset[str] = frozenset({"failed", "error", "provision_failed", "cancelled"})
    gone: frozenset[str] = frozenset({"deleted", "deleting", "terminated"})
    chat_end: Literal["auto", "required", "optional"] = "auto"
    forms: Forms | None = None
    """The router's own forms; without them no "not found" proves anything."""
    commands: Commands = PLAIN
    """The commands that a failure suggests as its next step."""
    manner: Manner = field(default_factory=Manner)
    """What the run learns of its router's deletions: one object for all its instances."""
    patient: bool = False
    """Whether a deletion under way must be seen for a while: a sweep's rule."""
    to_come: Callable[[str], bool] | None = None
    """Whether LLM events of an instance's turns so far are still to come, of a fake that knows."""
    fake: bool = False
    """Whether the router is the bundled fake, whose instances end with the run."""


def poll_interval(waited: float) -> float:
    """Return the seconds until the next look: a tenth of those waited, between 0.25 and 5."""
    return min(max(waited / 10, 0.25), 5.0)
