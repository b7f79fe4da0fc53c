"""Names of what takes time or tokens: the phases of an instance, and what can have a budget."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_hydrasmoke._journal.story import WAITS as WAITS

PHASES = ("provision", "row", "ready", "first_event", "turn", "llm_events", "delete")
BOOT = PHASES[:3]
"""The phases until an instance is ready."""
TOKENS = "tokens"
BUDGETS = (*PHASES, *WAITS, TOKENS)
"""Names that can have a budget; the one for tokens is the whole run's."""


@dataclass(frozen=True, slots=True)
class Doing:
    """A phase under way."""

    phase: str
    since: float
    deadline: float | None
