"""The target of a chat: what a turn, and the counts around it, know of their instance.

A client may chat with any instance, and any number of times: a `NullSink` hears of such chats. The
sink of a run's own targets is their `Instance`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from pytest_hydrasmoke._api.models import InstanceSpec, plain_id
from pytest_hydrasmoke._journal.chat import Counted, Turn
from pytest_hydrasmoke._journal.events import MOST_PROVIDERS, MOST_WORD, Event, Took
from pytest_hydrasmoke._journal.story import Chats, Story

from .account import Count, TurnAccount
from .run_turns import RunTurns
from .settling import Settling
from .sightings import Sightings
from .stage import Origin

if TYPE_CHECKING:
    from pytest_hydrasmoke._base.errors import HydraSmokeError


class TurnUnderWay(Protocol):
    """A turn that has begun, as its target knows it."""

    at: float

    def so_far(self) -> Turn:
        """Return what is known of it by now."""
        ...


class ChatSink(Protocol):
    """Hears how chats go, and lets them go on."""

    def permit(self) -> None:
        """Ask whether the run may go on."""
        ...

    def note(self, event: Event, at: float | None = None) -> None:
        """Hear of an event."""
        ...

    def fails(self, error: HydraSmokeError, brief: str, at: float) -> None:
        """Hear of a failure."""
        ...

    def add_remark(self, text: str, brief: str = "") -> None:
        """Hear of a note."""
        ...


class NullSink:
    """Hears nothing, and allows everything: a client without a run chats."""

    def permit(self) -> None:
        """Allow all."""

    def note(self, event: Event, at: float | None = None) -> None:
        """Drop an event."""

    def fails(self, error: HydraSmokeError, brief: str, at: float) -> None:
        """Drop a failure."""

    def add_remark(self, text: str, brief: str = "") -> None:
        """Drop a note."""


@dataclass(kw_only=True, repr=False)
class ChatTarget:
    """An instance, as its chats know it."""

    story: Story
    """What is told of the instance, with its id and its key."""
    sink: ChatSink = field(default_factory=NullSink)
    spec: InstanceSpec | None = None
    """None if it is not known, as for an attached instance."""
    origin: Origin | None = None
    """None where tests share it, and where a test has provisioned it by hand."""
    run_turns: RunTurns = field(default_factory=RunTurns)
    """The turns of all processes of the run, on all of its instances."""
    sightings: Sightings = field(default_factory=Sightings)
    account: TurnAccount | None = None
    """The last turn's."""
    open_turn: TurnUnderWay | None = None
    """The turn under way."""

    @classmethod
    def of_client(cls, instance_id: str) -> ChatTarget:
        """Return the target of a client that belongs to no run."""
        return cls(story=Story(id=instance_id))

    def beside(self, instance_id: str) -> ChatTarget:
        """Return the target of a client's own chat: the run knows of the turn, and no more."""
        story = Story(id=instance_id, key=self.key, attached=self.attached)
        return ChatTarget(story=story, spec=self.spec, origin=self.origin, run_turns=self.run_turns)

    @property
    def id(self) -> str | None:
        """The id of the instance."""
        return self.story.id

    @property
    def key(self) -> str | None:
        """The instance's idempotency key."""
        return self.story.key

    @property
    def attached(self) -> bool:
        """Whether the run is attached to the instance."""
        return self.story.attached

    @property
    def chats(self) -> Chats:
        """The chats with it, so far."""
        return self.story.chats

    @property
    def turns_name(self) -> str:
        """The name by which the processes of the run tell each other of its turns."""
        return self.key or plain_id(self.id or "")

    @property
    def spec_name(self) -> str:
        """A name of its spec."""
        if self.spec is None:
            return ""
        return hashlib.sha256(self.spec.model_dump_json().encode()).hexdigest()[:16]

    @property
    def settling(self) -> Settling:
        """What is known of the turns on it, of all processes."""
        return self.run_turns.on(self.turns_name)

    def open_account(self, before: Count) -> TurnAccount:
        """Begin a turn's account with the count before it, which also bounds the turn before it."""
        turns = self.settling
        before = replace(before, number=turns.number + 1)
        if (account := self.account) is not None:
            account.after = before
            if before.error is None and account.found is not None:
                account.saw(before)
            # What a turn that its client left still causes may come in after any count.
            elif turns.last is not None and turns.last.how == "ended" and account.is_sure:
                account.found = replace(before, at=turns.last.rose)
        self.account = TurnAccount(before)
        return self.account

    def has_last(self, account: TurnAccount) -> bool:
        """Return whether an account is of the last turn of all processes, and that is its own."""
        turns = self.settling
        own = turns.last is None or turns.last.by == self.run_turns.process
        return own and turns.number == account.before.number

    @property
    def told_turns(self) -> list[tuple[float, Turn]]:
        """Its turns, with the one under way as it is by now."""
        turns = [(it.at, it.turn) for it in self.chats.turns]
        if (turn := self.open_turn) is not None and turns:
            turns[-1] = turn.at, turn.so_far()
        return turns

    def end_turn(self) -> None:
        """Tell of a turn under way as far as it has come; harmless if there is none."""
        turn, self.open_turn = self.open_turn, None
        if turn is not None:
            self.sink.note(turn.so_far(), turn.at)

    def took(self, phase: str, at: float, seconds: float) -> None:
        self.sink.note(Took(phase, seconds), at)

    def saw_count(self, at: float, count: int, providers: tuple[str, ...]) -> None:
        counted = self.chats.counted
        last = counted[-1].event if counted else None
        seen = tuple(name[:MOST_WORD] for name in sorted(set(providers))[:MOST_PROVIDERS])
        if last is not None and tuple(last.providers) == seen:
            if last.total == count:
                return
            # Names are kept once, not with each of thousands of counts.
            seen = tuple(last.providers)
        self.sink.note(Counted(count, seen), at)
