"""What is wrong with settings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, with how to put it right, and which settings it is about."""

    words: str
    about: tuple[str, ...] = ()
    """Settings; none where it matters to whoever reads any."""

    def matters(self, used: Collection[str] | None) -> bool:
        """Return whether it stops a reader of the settings `used`; None uses all of them."""
        return used is None or not self.about or any(name in used for name in self.about)
