"""The replay of one process of a run, for that process: by calls, so that requests stay unchanged.

The process says to the player who chats, and asks what no answer of a router could say.
"""

from __future__ import annotations

from .replay import AllAsked, Player, asked
from .state import Replayed, World


class Stage:
    """What a process says to its own replay, and asks of it."""

    def __init__(self, world: World, player: Player) -> None:
        self._world = world
        self.player = player
        """Plays the turns of whoever is on stage."""

    def last(self, instance_id: str) -> Replayed | None:
        """Return what answered the last chat with an instance; None if it was no recording."""
        return self._world.last_replayed(instance_id)

    def uncounted(self, instance_id: str) -> str | None:
        """Return words on the last turn of an instance whose LLM events were not recorded."""
        return self._world.uncounted(instance_id)

    def all_counted(self, instance_id: str) -> AllAsked | None:
        """Return what to say with a count of all that will come; None if more may come."""
        instance = self._world.find_alive(instance_id)
        if instance is None or not self._world.all_counted(instance_id):
            return None
        return self.player.counted(asked("", instance))
