"""What a process asks of its own replay of recordings, beside its requests to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AllCounted:
    """All recorded LLM events of an instance's turns so far are counted: no more will come."""

    again: str
    """The command that records them again."""
    all_asked: bool
    """Whether no recorded turn on the instance is left, which could add more."""


class Replayed(Protocol):
    """A chat that a recording has answered."""

    @property
    def refused(self) -> bool:
        """Whether it was refused: then all repeats are."""
        ...

    @property
    def uncounted(self) -> str | None:
        """Words on its LLM events, if they were not recorded."""
        ...


class Replay(Protocol):
    """The replay of this process, which plays the router."""

    def last(self, instance_id: str) -> Replayed | None:
        """Return what answered the last chat with an instance; None if it was no recording."""
        ...

    def uncounted(self, instance_id: str) -> str | None:
        """Return words on LLM events of an instance that were not recorded; None if all were."""
        ...

    def all_counted(self, instance_id: str) -> AllCounted | None:
        """Return that a count has all that will ever come; None if more may come."""
        ...
