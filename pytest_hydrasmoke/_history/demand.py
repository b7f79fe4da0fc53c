"""What a pipeline demands of a history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .contents import Overview

CONDITIONS = ("failure", "leak", "regression", "flaky")
"""The kinds of findings that can make a history red."""


@dataclass(frozen=True, slots=True)
class Demand:
    """The conditions that make a history red."""

    fail_on: frozenset[str] = frozenset()
    group: str | None = None
    """The judged group; the newest one if None."""
    expect: int | None = None
    """How many runs it must have at least."""

    def judged(self, overviews: Iterable[Overview]) -> list[Overview]:
        """Return those whose newest group is judged: an older one is no substitute."""
        return [it for it in overviews if self.group in (None, it.newest.name)]
