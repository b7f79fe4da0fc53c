"""Choose the recorded turn that answers a message; `handlers` plays it.

Each process of a run of pytest has a replay of its own, which is told who is on stage: the test,
fixture or hook that asks. It plays only that owner's turns. Without such information, as outside
pytest, a message gets the first recorded turn that has it, then the next.

A replay is asked by the server's thread, and told by the threads of the tests.
"""

from __future__ import annotations

import shlex
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from .course import Course, nearest, shown, shown_path
from .recordings import Claim, PlayableTurn
from .records import Ordered
from .state import World

_ASK_AGAIN = {409, 425, 429, 503}
"""Transient refusals: a client may send the same message again, for the same turn."""
_OTHERS = ("fixture ", "hook ")
"""How the names of owners begin that are no tests."""

Edit: TypeAlias = Callable[[str, int, str], str]
"""Maps an owner, a run and a message to the message as recorded."""


class NotRecordedError(LookupError):
    """Raised for a message without a recorded turn; its text is for people."""


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """A chat that a recording has answered."""

    refused: bool
    uncounted: str | None
    """Words on its LLM events, if they were not recorded: whose they are, and what to do."""


class AllAsked(NamedTuple):
    """What to say with a count of all recorded LLM events."""

    again: str
    """The command that records them again."""
    all_asked: bool
    """Whether the owner on stage has no message left for the instance."""


@dataclass(slots=True)
class _Played:
    """What an owner has asked since its messages began."""

    turns: set[tuple[int, PlayableTurn]] = field(default_factory=set[tuple[int, PlayableTurn]])
    """What was played, each in the run that asked."""
    earlier: set[tuple[int, PlayableTurn]] = field(default_factory=set[tuple[int, PlayableTurn]])
    """What was played before its messages began again: as long as there is any other, no more."""


class Replay:
    """Plays turns for any client; or for one process of a run, once it is to `follow` that."""

    def __init__(self, course: Course, world: World) -> None:
        self.course = course
        self._world = world
        self._edit: Edit | None = None
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Start again, with no owner on stage."""
        with self._lock:
            self._owner, self._run = "", 1  # No owner has that name.
            self._test: str | None = None
            self._claims: dict[str, Claim] = {}
            self._played: defaultdict[str, _Played] = defaultdict(_Played)
            self._said: Counter[tuple[str, str]] = Counter()
            self._refused: dict[str, PlayableTurn] = {}
            self._last: dict[str, Replayed | None] = {}
            self._uncounted: dict[str, str] = {}

    # What the process of a run tells

    def follow(self, edit: Edit) -> None:
        """Play for a process of a run: only what is recorded of whoever is on stage there."""
        self._edit = edit

    def enter(self, owner: str | None, run: int, *, begins: bool, test: str | None) -> None:
        """Set the owner on stage, or none; `begins` if its messages start from the first.

        `test` is what to run to record its messages.
        """
        with self._lock:
            self._owner, self._run, self._test = owner or "", run, test
            self._refused.clear()  # Whoever is on stage now has a turn of their own.
            if owner is not None and begins:
                self.course.note("begun", owner)
                before = self._played.pop(owner, _Played())
                # A test that begins again is repeated; another owner is now there for other tests.
                if owner.startswith(_OTHERS):
                    self._played[owner].earlier = before.earlier | before.turns

    def claim(self, key: str, claim: Claim) -> None:
        """Record the owner of an instance."""
        with self._lock:
            self._claims[key] = claim

    # What the client of that process asks, since no answer says it

    def last(self, instance_id: str) -> Replayed | None:
        """Return what answered the last chat with an instance; None if it was no recording."""
        with self._lock:
            return self._last.get(instance_id)

    def uncounted(self, instance_id: str) -> str | None:
        """Return the words on its last turn without known LLM events; None if all are known."""
        with self._lock:
            return self._uncounted.get(instance_id)

    def all_counted(self, instance_id: str) -> AllAsked | None:
        """Return what to say with a count of all that will come; None if more may come."""
        instance = self._world.find_alive(instance_id)
        if instance is None or not self._world.all_counted(instance_id):
            return None
        with self._lock:
            _, mine = self._recorded(instance)
            played = self._played[self._owner].turns | self._played[self._owner].earlier
            return AllAsked(self._command(), all((self._run, turn) in played for turn in mine))

    # What the handlers ask, and tell

    def moves_on(self, key: str) -> None:
        """Note that an instance is used otherwise: the turn of a refused message is over."""
        with self._lock:
            self._refused.pop(key, None)

    def answer(self, message: str, instance: Ordered) -> PlayableTurn:
        """Return the turn that answers a message; raises `NotRecordedError`."""
        key = instance.idempotency_key
        if self._edit is not None:
            # Not under the lock: it may be a hook of the user's.
            message = self._edit(self._owner, self._run, message)
        with self._lock:
            turn = self._refused.pop(key, None)
            if turn is None or turn.message != message:
                play = self._of_stage if self._edit else self._of_anybody
                turn = play(message, instance)
            if turn.refused is not None and turn.refused.status in _ASK_AGAIN:
                self._refused[key] = turn
            self.course.note("given", turn.of, turn.number)
            return turn

    def missed(self, message: str) -> None:
        """Note that no recording has answered a message of whoever is on stage."""
        with self._lock:
            self.course.note("missed", self._owner, message)

    def note(self, instance_id: str, answer: Replayed | None) -> None:
        """Note what answers a chat; None for another answer than a recorded one."""
        with self._lock:
            self._last[instance_id] = answer
            if answer is not None and answer.uncounted is not None:
                self._uncounted[instance_id] = answer.uncounted

    def played(self, turn: PlayableTurn) -> Replayed:
        """Return what there is to note of a turn; there are words if nobody counted its events."""
        refused, uncounted = turn.refused, None
        if turn.llm_events is None and (refused is None or not _never_ran(refused.status)):
            uncounted = (
                f"the LLM events of {shown(turn.message)}, recorded for {turn.of}, were not "
                "counted then; to record them, expect them after it (turn.expect_llm_events), and "
                f"run: {self._command()}"
            )
        return Replayed(refused is not None, uncounted)

    def _of_anybody(self, message: str, instance: Ordered) -> PlayableTurn:
        turns = self.course.of_message.get(message)
        if turns is None:
            near = nearest(message, self.course.of_message)
            raise NotRecordedError(
                f"{shown(message)} is in no recording{near}; to record it, send it in a "
                f"test, and run that: {self._command()}"
            )
        said = self._said[instance.idempotency_key, message]
        self._said[instance.idempotency_key, message] += 1
        return turns[said % len(turns)]

    def _of_stage(self, message: str, instance: Ordered) -> PlayableTurn:
        if not self._turns:
            other = self.course.of_another(message)
            whom = self._owner or "no test"
            raise self._missing(message, f"nothing was recorded for {whom}{other}")
        runs = max(turn.run for turn in self._turns)
        if self._run > runs:
            recorded = "one run was" if runs == 1 else f"{runs} runs were"
            problem = f"{recorded} recorded for {self._owner}, and it is sent in run {self._run}"
            raise self._missing(message, problem)
        of_run, mine = self._recorded(instance)
        played = self._played[self._owner]
        turns = [turn for turn in mine if turn.message == message]
        for turn in sorted(turns, key=lambda it: (self._run, it) in played.earlier):
            if (self._run, turn) not in played.turns:
                played.turns.add((self._run, turn))
                return turn
        if turns:
            times = "once" if len(turns) == 1 else f"{len(turns)} times"
            problem = f"it was recorded {times} for {self._owner}, and is sent once more"
        elif any(turn.message == message for turn in of_run):
            problem = f"it was recorded for {self._owner} on another instance"
        else:
            near = nearest(message, [turn.message for turn in mine or of_run])
            problem = f"it was not recorded for {self._owner}{near}"
        raise self._missing(message, problem)

    @property
    def _turns(self) -> Sequence[PlayableTurn]:
        recording = self.course.recordings.by_owner.get(self._owner)
        return () if recording is None else recording.turns

    def _recorded(self, instance: Ordered) -> tuple[Sequence[PlayableTurn], Sequence[PlayableTurn]]:
        """Return the owner's turns of this run, and those of them on this instance.

        If all of its claim have one spec, any spec matches: a run against the fake needs none.
        """
        of_run = [turn for turn in self._turns if turn.run == self._run]
        claim, spec = self._claims.get(instance.idempotency_key), instance.spec
        claimed = [turn for turn in of_run if turn.claim == claim]
        mine = [turn for turn in claimed if turn.spec == spec]
        one_spec = all(turn.spec == claimed[0].spec for turn in claimed)
        return of_run, mine or (claimed if one_spec else [])

    def _missing(self, message: str, problem: str) -> NotRecordedError:
        return NotRecordedError(f"{shown(message)}: {problem}; to record it: {self._command()}")

    def _command(self) -> str:
        """Return the command that records what the owner on stage asks."""
        words = ["pytest", "--hydra-smoke", "--hydra-smoke-record"]
        words.append(shown_path(self.course.recordings.folder))
        return shlex.join(words if self._test is None else [*words, self._test])


def _never_ran(status: int) -> bool:
    """Return whether a refusal says that no agent has worked on the message."""
    return status == 503 or (400 <= status < 500 and status != 408)
