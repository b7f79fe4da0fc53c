"""A router whose own state is the truth: which machines cost money, whatever it says of them.

Nothing runs in the background: what there is, and what a look would see, are functions of what was
asked for, of a `Manner`, and of the time. `truth_app` answers the six calls with it.
"""

from __future__ import annotations

import math
import threading
import time
import uuid
from dataclasses import dataclass, field, fields
from typing import Literal, Protocol

TOKEN = "made-up-token-of-the-true-router"
SOON = 0.2
"""Seconds until what was refused is carried out."""
NEVER = math.inf


class Clock(Protocol):
    """What gives the time: `RealClock`, or the package's `VirtualClock`."""

    def now(self) -> float: ...


class RealClock:
    def now(self) -> float:
        return time.monotonic()


@dataclass(frozen=True, kw_only=True, repr=False)
class Manner:
    """How a router makes, shows and ends machines. As it is: a right one, and quick."""

    row_after: float = 0.05
    """Seconds from a provision until its row is there, and money is spent."""
    boot: float = 0.1
    """Seconds from the row to `running`."""
    takes: float = 0.0
    """Seconds of every call."""
    busy_every: int = 0
    """Every how many requests one is answered 429, to come again in 1 s."""
    second_delete: int = 404
    """What a DELETE of a deleted machine is answered."""

    # A right router's leftovers

    deleting: float = 0.0
    """Seconds from a DELETE to the end of the machine, which are `deleting`."""
    keeps_row: bool = False
    """Whether a key names its deleted instance for ever."""
    key_word: str | None = "running"
    """The word under the key of a deleted instance."""
    key_words: bool = True
    """Whether a key has words at all, or null."""

    # What is looked at

    lag: float = 0.0
    """How old what status and poll see is, by seconds."""
    deletes_behind: bool = False
    """Whether a DELETE, too, acts only on what they see."""
    blind: float = 0.0
    """Seconds from an instance's first DELETE for which no call finds it."""
    loses_key: float = NEVER
    """Seconds from `running` until its key does not find an instance any more."""

    # A DELETE that is accepted, and ends nothing

    deaf: float = 0
    """How many DELETEs of an instance do nothing."""
    flaps: int = 0
    """How many looks then see `deleting`, before `running` again."""
    hidden: float = 0.0
    """Seconds for which status then does not find it."""
    hides_key: bool = False
    """Whether its key does not find it either."""
    stale: float = 0.0
    """How old what looks then see is: a replica may not know a young instance yet."""
    finishes: bool = False
    """Whether a worker finishes its boot after a DELETE: it takes another one, once it is over."""

    # A provision that is refused, and carried out

    refuses: int = 0
    """The code of the refusal."""
    whom: Literal["all", "strangers", "invalid"] = "all"
    """Who is refused and served: everybody, wrong tokens, or requests against the rules."""

    # Whose an instance is

    tenants: bool = False
    """Whether each token is a tenant's, who sees only what was made with it."""

    # Trouble that passes

    outage: float = 0.0
    """Seconds from the first DELETE of all for which every call is answered 503."""

    def __repr__(self) -> str:
        given = [it for it in fields(self) if getattr(self, it.name) != it.default]
        return f"Manner({', '.join(f'{it.name}={getattr(self, it.name)!r}' for it in given)})"

    @property
    def trouble(self) -> float:
        """Seconds after which all that was under way has come, and all looks are true again."""
        first = self.row_after + self.boot + self.lag + SOON
        return first + max(self.blind, self.hidden, self.stale, self.outage)


@dataclass
class Machine:
    """What one provision has made."""

    key: str
    made_by: int
    """The number of the request."""
    row_at: float
    ready_at: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    asked_at: list[float] = field(default_factory=list[float])
    """When DELETEs of its id came, whatever they did."""
    deleted_at: list[float] = field(default_factory=list[float])
    """When DELETEs were carried out, as far as the router carries them out."""
    owner: str = ""
    """The header of who has made it."""
    looks: int = 0
    """How many looks at its status there were since."""
    turns_at: list[float] = field(default_factory=list[float])


@dataclass(frozen=True)
class Asked:
    """A request, as it came."""

    call: str
    about: str
    at: float


class Truth:
    """One router's machines and requests; its methods may be called from any thread."""

    def __init__(self, manner: Manner | None = None, clock: Clock | None = None) -> None:
        self.manner = manner or Manner()
        self.clock = clock or RealClock()
        self.machines: list[Machine] = []
        self.requests: list[Asked] = []
        self.lock = threading.RLock()

    # What there is

    def ended_at(self, machine: Machine) -> float:
        """Return when a machine stops to cost money, as far as that is known by now."""
        manner = self.manner
        for number, at in enumerate(machine.deleted_at):
            if number >= manner.deaf and not (manner.finishes and at < machine.ready_at):
                return at + manner.deleting
        return NEVER

    def alive(self) -> list[Machine]:
        """Return the machines that cost money now."""
        now = self.clock.now()
        with self.lock:
            return [it for it in self.machines if it.row_at <= now < self.ended_at(it)]

    def left(self) -> list[Machine]:
        """Return the machines that will cost money for ever, if nobody does anything more."""
        with self.lock:
            return [it for it in self.machines if self.ended_at(it) == NEVER]

    def asked(self, call: str) -> int:
        """Count the requests of a call."""
        with self.lock:
            return sum(it.call == call for it in self.requests)

    def named(self, key: str) -> Machine | None:
        """Return the last machine of a key."""
        return next((it for it in reversed(self.machines) if it.key == key), None)

    # What a look sees

    def seen(self, machine: Machine, by: Literal["status", "key"]) -> tuple[bool, str | None]:
        """Return whether a look finds a machine, and its word."""
        manner, now = self.manner, self.clock.now()
        at, key = now - manner.lag, by == "key"
        if at < machine.row_at or self._blind(machine):
            return False, None
        if key and self.has_lost(machine):
            return False, None
        word = "running" if at >= machine.ready_at else "queued"
        deletes = [it for it in machine.deleted_at if it <= at]
        if not deletes:
            return True, word if manner.key_words or not key else None
        if len(deletes) <= manner.deaf:
            hidden = at < deletes[-1] + manner.hidden and (manner.hides_key or not key)
            hidden |= at < machine.row_at + manner.stale
            flaps = not key and machine.looks <= manner.flaps
            return not hidden, "deleting" if flaps else word
        if at < self.ended_at(machine) and not manner.finishes:
            return True, "deleting"
        if key and manner.keeps_row:
            return True, manner.key_word
        return False, None

    def has_lost(self, machine: Machine) -> bool:
        """Return whether a look finds no machine by its key any more."""
        at = self.clock.now() - self.manner.lag
        return at >= machine.ready_at + self.manner.loses_key

    def _blind(self, machine: Machine) -> bool:
        asked = machine.asked_at
        return bool(asked) and self.clock.now() < asked[0] + self.manner.blind

    # What is done

    def provision(self, key: str, after: float | None = None) -> Machine:
        """Return the machine of a key; a new one's row comes so many seconds after.

        Nothing keeps a key that was used from being used again, once it was deleted.
        """
        with self.lock:
            for machine in self.machines:
                if machine.key == key and len(machine.deleted_at) <= self.manner.deaf:
                    return machine
            after = self.manner.row_after if after is None else after
            row_at = self.clock.now() + after
            machine = Machine(key, len(self.requests), row_at, row_at + self.manner.boot)
            self.machines.append(machine)
            return machine

    def delete(self, machine: Machine) -> int:
        """Carry out a DELETE, as far as this router does; return the code of its answer."""
        manner, now = self.manner, self.clock.now()
        with self.lock:
            machine.asked_at.append(now)
            behind = manner.lag if manner.deletes_behind else 0.0
            if now - behind < machine.row_at or self._blind(machine):
                return 404
            again = len(machine.deleted_at) > manner.deaf
            machine.deleted_at.append(now)
            machine.looks = 0
            return manner.second_delete if again else 200

    def note(self, call: str, about: str) -> None:
        """Keep a request."""
        self.requests.append(Asked(call, about, self.clock.now()))

    def is_out(self) -> bool:
        """Return whether the router is out of order."""
        first = next((it.at for it in self.requests if it.call == "delete"), NEVER)
        return first <= self.clock.now() < first + self.manner.outage

    def is_busy(self) -> bool:
        """Return whether the last request is one too many."""
        every = self.manner.busy_every
        return every > 0 and len(self.requests) % every == 0
