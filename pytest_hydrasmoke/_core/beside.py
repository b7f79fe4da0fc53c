"""The record of a chat that no story is told of: a client's, which may be outside of any run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hydrasmoke._journal.story import Chats

from .record import InstanceRecord
from .run_turns import RunTurns
from .sightings import Sightings

if TYPE_CHECKING:
    from pytest_hydrasmoke._base.errors import HydraSmokeError
    from pytest_hydrasmoke._journal.events import Event


class Beside(InstanceRecord):
    """Stands for an instance in one chat, and writes nothing; the run may know of the turn.

    It has only what a turn needs of a record, since a client may chat any number of times.
    """

    def __init__(
        self, instance_id: str, known: InstanceRecord | None = None, turns: RunTurns | None = None
    ) -> None:
        self.id = instance_id
        self.key = self.spec = self.origin = None
        self.attached = False
        self.run_turns = turns or RunTurns()
        if known is not None:
            self.key, self.spec, self.origin = known.key, known.spec, known.origin
            self.attached, self.run_turns = known.attached, known.run_turns
        self.account = self.open_turn = None
        self.sightings, self.chats = Sightings(), Chats()

    __repr__ = object.__repr__

    def note(self, event: Event, at: float | None = None) -> None:
        pass

    def permit(self) -> None:
        pass

    def fails(self, error: HydraSmokeError, brief: str, at: float) -> None:
        pass

    def add_remark(self, text: str, brief: str = "") -> None:
        pass
