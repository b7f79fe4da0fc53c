"""How a lifecycle goes: how long to wait for each step, and what is known of the router."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pytest_hydrasmoke._base.evidence import Absent
from pytest_hydrasmoke._base.run_keys import PLAIN, Commands
from pytest_hydrasmoke._transport.links import Link
from pytest_hydrasmoke._transport.protocol import LAST_CHANCE

from .controls import Controls

EndRule = Literal["auto", "required", "optional"]
"""Whether a stream must have a terminal event: where it is known to send them, always, or never."""
SECOND_LOOK = 2.0
"""Seconds until a count with an upper bound is read once more: duplicates come late."""


@dataclass(frozen=True, slots=True)
class Statuses:
    """What the router's status words mean, in any case; here they are lower case."""

    ready: frozenset[str] = frozenset({"running", "active", "ready", "online"})
    failed: frozenset[str] = frozenset({"failed", "error", "provision_failed", "cancelled"})
    gone: frozenset[str] = frozenset({"deleted", "deleting", "terminated"})

    def is_ready(self, word: str | None) -> bool:
        return word is not None and word.lower() in self.ready

    def is_gone(self, word: str) -> bool:
        return word.lower() in self.gone

    def is_failed(self, word: str) -> bool:
        """Return whether what is waited for will not come: what is gone won't, either."""
        return word.lower() in self.failed or self.is_gone(word)


@dataclass(slots=True)
class KnownRouter:
    """A run's router, as far as the run knows it: one object for all of its instances."""

    absent: Absent = field(default_factory=Absent)
    """How it answered, when the run or the sweep began, for what does not exist."""
    fake: bool = False
    """Whether it is the bundled fake, whose instances end with the run."""
    controls: dict[Link | None, Controls] = field(default_factory=lambda: defaultdict(Controls))
    """What it answers at this moment for what does not exist, to each token."""
    keeps_rows: bool = False
    """Whether it was seen to keep a deleted instance's row under its key, with a ready word."""
    to_come: Callable[[str], bool] | None = None
    """Whether LLM events of an instance's turns so far are still to come, of a fake that knows."""
    lag: float | None = None
    """How long after their turn LLM events come, of a fake in another process."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds to wait for each step, what the settings say of it, and at which router."""

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
    patient: bool = False
    """Whether a deletion under way must be seen for a while: a sweep's rule."""
    keep: str = "never"
    chat_end: EndRule = "auto"
    commands: Commands = PLAIN
    """The commands that a failure suggests as its next step."""
    statuses: Statuses = Statuses()
    router: KnownRouter = field(default_factory=KnownRouter)


def poll_interval(waited: float) -> float:
    """Return the seconds until the next look: a tenth of those waited, between 0.25 and 5."""
    return min(max(waited / 10, 0.25), 5.0)
