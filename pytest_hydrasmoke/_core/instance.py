"""What a process knows of one of its instances: its story, and what clean-up needs beside it.

The lifecycle tells each step before the next one begins. Points in time are seconds of the IO's
clock.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from pytest_hydrasmoke._api.models import InstanceSpec, PollResult, plain_id, same_id
from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.errors import ConfigError, HydraSmokeError
from pytest_hydrasmoke._base.evidence import Absent
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal import events
from pytest_hydrasmoke._journal.events import (
    MOST_WORD,
    Became,
    Blamed,
    Conflict,
    Doing,
    Event,
    Failed,
    Interrupted,
    Leaked,
    Noted,
    Status,
    Took,
)
from pytest_hydrasmoke._journal.known_instance import KnownInstance
from pytest_hydrasmoke._journal.states import (
    HAD_ROW,
    LATE,
    TRANSITIONS,
    State,
    check_transition,
)
from pytest_hydrasmoke._journal.story import BOOT, MOST_NOTES, Story
from pytest_hydrasmoke._transport.protocol import StoppedError

from .chat_target import ChatTarget
from .controls import Controls
from .policy import Policy
from .proof import Evidence
from .run_turns import RunTurns
from .sightings import Sightings
from .stage import Keeper

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pytest_hydrasmoke._api.retry import Tried
    from pytest_hydrasmoke._transport.links import Link
    from pytest_hydrasmoke._transport.protocol import IO, CallName

_NAMES_ANOTHER = (
    "the answer to its provision named {}, and its key names {}: the first may be another run's, "
    "and is left alone"
)
_numbers = count(1)
"""Of this process's failures."""


@dataclass
class Instance(Story):
    """One instance of this process's, as an `Observer` of its calls; seconds everywhere.

    Its story is told by events, which its keeper writes; the rest is what this process alone knows.
    """

    spec: InitVar[InstanceSpec | None]
    run_turns: InitVar[RunTurns | None] = None
    target: ChatTarget = field(init=False, repr=False, compare=False)
    """The instance as its chats know it."""
    born: float | None = None
    """When it was requested, on the IO's clock; None if it may be older than the run."""
    settled_at: float | None = None
    """When it was refused, or proved gone; None where another process has seen that."""
    evidence: Evidence = field(default_factory=Evidence, repr=False)
    ready_as: str = ""
    """The plain id under which an answer of its key has called it ready."""
    booted: float | None = None
    """When an answer last said that its boot goes on, on the IO's clock, to who asks before a
    deletion."""
    scene: int | None = None
    """The scene that this process has last chatted with it in, see `Stage`."""
    since: float | None = None
    """When this process was first about to chat with it, if it was the run's first to do so."""
    touched: bool = False
    """Whether the running test has used it."""
    link: Link | None = field(default=None, repr=False)
    """Whose token has made it, and is asked with; None for the run's own."""
    shared_across_workers: bool = False
    """Whether all workers share it: the main process deletes it then."""
    keeper: Keeper[Instance] = field(default_factory=lambda: Keeper[Instance](), repr=False)
    _claim: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def __post_init__(self, spec: InstanceSpec | None, run_turns: RunTurns | None) -> None:
        self.target = ChatTarget(
            story=self,
            sink=self,
            spec=spec,
            run_turns=run_turns or RunTurns(),
            sightings=Sightings(self.note),
        )

    def note(self, event: Event, at: float | None = None) -> None:
        """Add an event to the story, and have it written; now, if `at` is not given."""
        at = clock.now() if at is None else at
        if isinstance(event, Became):
            check_transition(self.state, event.state)
        # What the request waits for is written before it is so; all else is so already.
        commits = isinstance(event, Became) and event.state is State.REQUESTED
        if not commits:
            self.apply("", at, event)
        self.keeper.note(self, at, event)
        if commits:
            self.apply("", at, event)

    def take_over(self, known: KnownInstance) -> None:
        super().take_over(known)
        self.evidence.forget(accepted=self.accepted)
        self.evidence.alive |= set(map(plain_id, self.ids))

    def owns(self, instance_id: str | None) -> bool:
        """Return whether what a key names is its own; one that names nothing is nobody else's."""
        return instance_id is None or any(same_id(it, instance_id) for it in self.known_ids)

    @property
    def policy(self) -> Policy:
        """How its lifecycle goes."""
        return self.keeper.policy

    @property
    def reference(self) -> str | None:
        """The name that tests use for it: its key, or the id of one without a key."""
        return self.key or self.id

    @property
    def last_state(self) -> str | None:
        """The last status word, in readable form."""
        return safe_line(f"status {self.status!r}") if self.statuses else None

    @property
    def name(self) -> str:
        """Id and key, as far as there are any."""
        return " ".join(
            part for part in (self.id, self.key and f"(key {self.key})") if part is not None
        )

    @property
    def known_ids(self) -> list[str]:
        """The ids that are its to delete."""
        own = self.id if self.state in HAD_ROW else None  # Not what a provision's answer names.
        known: dict[str, str] = {}
        for one in (own, *self.ids):
            if one is not None:
                known.setdefault(plain_id(one), one)
        return [*known.values()]

    @property
    def controls(self) -> Controls:
        """What the router answers at this moment for what does not exist."""
        return self.policy.router.controls[self.link]

    @property
    def absent(self) -> Absent:
        """How the router answered, when its run began, for what does not exist."""
        known = self.absent_when_claimed
        return self.policy.router.absent if known is None else known

    def permit(self) -> None:
        """Ask whether the run may go on; raises what its keeper raises."""
        self.keeper.permit(self)

    def leaves(self, at: float) -> None:
        """Become requested, before each attempt; raises what the keeper raises.

        A test's thread may be here as the run ends in another: only one of them may go on. Raises
        `ConfigError` where the claim was given up.
        """
        try:
            self.permit()
        except HydraSmokeError:
            sent = self.born is not None
            if sent and self.state is State.REQUESTED and not self.evidence.unknown_outcomes:
                self.becomes(State.UNUSED)  # No attempt so far has reached the router.
            raise
        with self._claim:
            # One whose request has only failed to leave may be requested again.
            if self.state is State.UNUSED and self.born is None:
                raise ConfigError(
                    "the run ended before this instance was requested",
                    next_step="let a test wait for the threads that it starts",
                )
            if self.state in (State.CREATED, State.READY, State.FAILED):
                return  # Its key has named it meanwhile.
            before = self.born
            if self.state is not State.REQUESTED or before is None:
                self.born = at
            try:
                # Also where it is so already: another process may have said it.
                self.note(Became(State.REQUESTED, self.id))
            except BaseException:
                self.born = before  # Nothing leaves: what is given up now stays so.
                raise

    def give_up(self) -> None:
        """Become unused if nothing was requested yet: from here on, nothing is."""
        with self._claim:
            if self.state is State.CLAIMED:
                self.becomes(State.UNUSED)

    def becomes(self, state: State, named: str | None = None) -> None:
        """Have another state; `named` is the id that an answer has given it."""
        name = self.id if named is None else named
        if (self.state, self.id) != (state, name) and not self._is_late(state, name):
            self.note(Became(state, name))

    def _is_late(self, state: State, name: str | None) -> bool:
        """Return whether an answer is no news: a test's thread has waited for it too long."""
        if state in LATE:
            return state not in TRANSITIONS[self.state]
        # Only another id is news after the end.
        over = {State.GONE, State.DELETED}
        is_over = self.state in over and plain_id(name or "") in self.evidence.gone
        return is_over and state not in over

    def names(self, instance_id: str, at: float) -> None:
        """Become created: an answer about the key names this instance, alive for all it shows."""
        other = None if same_id(self.id, instance_id) else self.id
        if self.state is State.ACCEPTED and other is not None:
            words = _NAMES_ANOTHER.format(other, instance_id)
            if self.failures:
                self.add_remark(words)  # The run is red by that, but may tell another failure.
            else:
                self.note(Conflict(words))
        # Where another one was deleted in its boot, that one's may go on.
        are_over = self.was_ready or not self.ids or self.owns(instance_id)
        self.evidence.shown = at
        self.becomes(State.CREATED, instance_id)
        self.was_ready |= are_over and self.ready_as == plain_id(instance_id)

    def last_look_at(self, proved: float, begun: float) -> float:
        """Return when the last look, which has `begun`, is due at what was `proved` gone."""
        shown = self.evidence.shown
        known = begun - self.lasted if shown is None else shown
        return self.evidence.last_look_at(proved, known, in_vain=self.in_vain)

    def is_gone(self, at: float, *, ends: bool) -> None:
        """Become gone, or deleted where nobody looks again since the router `ends` with the run."""
        self.settled_at = at
        self.evidence.gone = frozenset(map(plain_id, self.known_ids))
        self.becomes(State.DELETED if ends else State.GONE)

    def revive(self) -> None:
        """Become created again: what was proved gone is there."""
        self.settled_at, self.evidence.gone = None, frozenset()
        self.evidence.forget()
        self.becomes(State.CREATED)

    def refuses(self, at: float) -> None:
        """Become refused."""
        self.settled_at = at
        self.becomes(State.REFUSED)

    @contextmanager
    def phase(
        self, name: str, io: IO, *, deadline: float | None = None, timed: bool = True
    ) -> Generator[None]:
        """Time a phase, and add its name and times to an error that leaves it."""
        start = io.now()
        try:
            if timed:
                self.note(Doing(name, deadline), start)
            yield
        except BaseException as error:
            if isinstance(error, HydraSmokeError) and not isinstance(error, StoppedError):
                error.add_context(
                    phase=name,
                    seconds=io.now() - start,
                    last=self.last_state,
                    instance=self.name,
                    trace=io.link.traced,
                )
                self.fails(error, error.brief, io.now())
            elif name in BOOT:
                # Ctrl-C, or a test that timed out: no failure, but no completed boot either.
                self.note(Interrupted(name))
            raise
        finally:
            if timed:
                self.note(Took(name, io.now() - start), start)
                self.note(Doing(None), io.now())

    def fails(self, error: HydraSmokeError, brief: str, at: float) -> None:
        """Record a failure; an error that was seen before is the same failure."""
        if error.failure is None:
            error.failure = next(_numbers)
            self.note(Failed(error.failure, str(error), brief, error.phase), at)

    def leaks(self, why: str | None) -> None:
        """Give up on its deletion, or take that back with None."""
        if why != self.leak:
            self.note(Leaked(why))

    def saw_boot(self, found: PollResult, at: float) -> None:
        """Record whether its boot goes on, by its key's answer before any deletion of it."""
        statuses, word = self.policy.statuses, found.status
        own = self.owns(found.instance_id)
        # It is over once any answer calls it ready.
        if statuses.is_ready(word):
            self.was_ready |= own
            self.ready_as = plain_id(str(found.instance_id))
        elif word is not None and not (own and self.was_ready) and not statuses.is_failed(word):
            self.booted = at

    def blame(self) -> None:
        """Count as failed, for `keep`."""
        if not self.failed:
            self.note(Blamed())

    def saw_status(self, word: str, at: float) -> None:
        word = word[:MOST_WORD]
        if self.status != word:
            self.note(Status(word), at)

    def saw_attempt(self, attempt: Tried) -> None:
        request, outcome = attempt.request, attempt.outcome
        if request.call == "provision" and attempt.outcome_unknown:
            self.evidence.unknown_outcomes += 1
        if request.call == "delete" and attempt.outcome_unknown:
            self.evidence.unknown_deletes += 1
        self.target.sightings.saw_attempt(attempt)
        self.note(
            events.Attempt(
                call=request.call,
                method=request.method,
                path=request.path,
                number=attempt.number,
                seconds=attempt.seconds,
                status=outcome if isinstance(outcome, int) else None,
                error=None if isinstance(outcome, int) else outcome.message,
            ),
            attempt.at,
        )

    def saw_answer(self, call: CallName, answer: BaseModel) -> None:
        self.target.sightings.saw_answer(call, answer)

    def add_remark(self, text: str, brief: str = "") -> None:
        """Add a note; `brief` is its version without words of an agent, if it has any."""
        if text not in self.notes and len(self.notes) < MOST_NOTES:
            self.note(Noted(text, brief))
