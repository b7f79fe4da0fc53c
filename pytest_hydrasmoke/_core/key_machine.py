"""What a key's machine asks the router, and how an answer becomes evidence.

A machine sends nothing: its driver carries out one question at a time, see `cleanup.carry_out`, and
tells it the answer. So each of its rules is tested by answers alone. Moments are of the IO's clock.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from enum import Enum
from typing import NamedTuple, TypeAlias

from pytest_hydrasmoke._api.models import plain_id, same_id
from pytest_hydrasmoke._base.evidence import NOT_FOUND
from pytest_hydrasmoke._journal.events import Alive, Became, Vanished
from pytest_hydrasmoke._journal.states import HAS_ROW, State
from pytest_hydrasmoke._transport.protocol import LAST_CHANCE

from .instance import Instance
from .proof import Look, Verdict, judge


class FindRow(NamedTuple):
    """Ask what the key names."""

    until: float


class Delete(NamedTuple):
    """Send a DELETE."""

    instance_id: str
    until: float


class Probe(NamedTuple):
    """Look at an instance, and at what the key names."""

    instance_id: str
    until: float


class Wait(NamedTuple):
    """Ask nothing until a moment."""

    until: float


class Result(Enum):
    """What a machine comes to."""

    PROVED = "all that the key has named is gone"
    UNPROVED = "its time is up, or it can't be proved"
    NO_ROW = "the router proved that it has no row for the key: one may still come"
    VERIFIED = "a last look has seen it gone"
    DOUBTED = "a last look could not tell"
    RETURNED = "it was proved gone, and is there again"


class Ended(NamedTuple):
    """The machine has come to its end, and says why."""

    result: Result
    why: str = ""


Question: TypeAlias = FindRow | Delete | Probe
Step: TypeAlias = Question | Wait | Ended


class KeyMachine(ABC):
    """The way of all that one key names to an end, one question at a time."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._policy = instance.policy
        self._is_first = False
        """Whether the DELETE that is under way is the first that anybody has sent."""
        self._unknown_before = 0

    @abstractmethod
    def next(self, now: float, patience: float = math.inf) -> Step:
        """Return the question that is due; `patience` is when a signal ends everything."""

    @abstractmethod
    def saw(self, seen: Look, now: float) -> None:
        """Learn what a look has shown."""

    def delete(self, instance_id: str, now: float, deadline: float) -> Delete:
        """Begin to delete one instance: whoever asks for this sends the DELETE."""
        evidence = self.instance.evidence
        self._is_first = not evidence.asked and not self._policy.patient
        self._unknown_before = evidence.unknown_deletes
        evidence.asked = True
        # Half of the time: a router may delete and fail to say so, and status needs the rest.
        return Delete(instance_id, now + max((deadline - now) / 2, LAST_CHANCE))

    def saw_answer(self, instance_id: str, answer: int | str, now: float) -> None:
        """Learn the code that answered a DELETE, or why none counts; looks check its outcome."""
        instance = self.instance
        evidence = instance.evidence
        if isinstance(answer, str):
            instance.add_remark(answer)
            evidence[instance_id] = evidence[instance_id].unanswered(now, answer)
            return
        accepted = answer < 300
        evidence[instance_id] = evidence[instance_id].answered(now, accepted=accepted)
        found_nothing = answer in NOT_FOUND and plain_id(instance_id) in evidence.alive
        no_doubt = evidence.unknown_deletes == self._unknown_before
        if self._is_first and found_nothing and no_doubt and not instance.keeper.was_swept:
            instance.note(Vanished(instance_id))
        elif accepted:
            instance.vanished = [it for it in instance.vanished if not same_id(it, instance_id)]
        # What is written names its id: one that was not asked for has accepted nothing.
        is_current = same_id(instance_id, instance.id) and not instance.accepted
        if accepted and is_current and instance.state in HAS_ROW:
            instance.note(Became(State.DELETING, instance.id))

    def _enter(self, instance_id: str, seen: Look, *, last: bool = False) -> Verdict:
        """Enter a look as evidence, and judge all that was seen."""
        evidence = self.instance.evidence
        evidence[instance_id] = evidence[instance_id].saw(seen)
        if seen.says == "alive":
            self.instance.note(Alive())
        return self._judge(instance_id, last=last)

    def _judge(self, instance_id: str, *, last: bool = False) -> Verdict:
        instance, policy = self.instance, self._policy
        # One that its key has another name for by now has not vanished.
        is_current = same_id(instance_id, instance.id)
        return judge(
            instance.evidence[instance_id],
            keeps_rows=policy.router.keeps_rows,
            patient=policy.patient,
            vanished=is_current and any(same_id(it, instance_id) for it in instance.vanished),
            last=last,
        )
