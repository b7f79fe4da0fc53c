"""What is wrong with settings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, how to fix it, and which settings it concerns."""

    words: str
    about: tuple[str, ...] = ()
    """Names of settings; if empty, it concerns every reader of settings."""

    def matters(self, used: Collection[str] | None) -> bool:
        """Return whether it stops a reader of the settings `used`; None means all settings."""
        return used is None or not self.about or any(name in used for name in self.about)
