"""Choose the recorded turn that answers a message; `handlers` plays it.

Each process of a run of pytest has a replay of its own, whose `Player` is told who is on stage: the
test, fixture or hook that asks. It plays only that owner's turns. Without such information, as
outside pytest, a message gets the first recorded turn that has it, then the next.

A player is asked by the server's thread, and told by the threads of the tests.
"""

from __future__ import annotations

import shlex
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from .course import Course, shown_path
from .nearest import nearest, shown
from .recordings import Claim, Recording, Turn
from .records import Instance
from .specs import given, of_spec

_ASK_AGAIN = {409, 425, 429, 503}
"""Transient refusals: a client may send the same message again, for the same turn."""


Edit: TypeAlias = Callable[[str, int, str], str]
"""Maps an owner, a run and a message to the message as recorded."""


class NotRecordedError(LookupError):
    """Raised for a message without a recorded turn; its text is for people."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A message, and its instance."""

    message: str
    key: str
    spec: Mapping[str, str | None]


def asked(message: str, instance: Instance) -> Asked:
    """Return a message to an instance."""
    names = ("manifest_id", "region_id", "tier_id", "agent_name")
    return Asked(
        message, instance.idempotency_key, {name: getattr(instance, name) for name in names}
    )


class AllAsked(NamedTuple):
    """What to say with a count of all recorded LLM events."""

    again: str
    """The command that records them again."""
    all_asked: bool
    """Whether the owner on stage has no message left for the instance."""


@dataclass(frozen=True, slots=True)
class _Stage:
    owner: str
    """Empty for none: no owner has that name."""
    run: int
    test: str | None


class _Question(NamedTuple):
    """The key of a count: a message, its owner and the run that asks."""

    of: str
    run: int
    claim: Claim
    spec: tuple[tuple[str, str], ...]
    message: str


class Player:
    """Plays turns for any client; or for one process of a run, once it is to `follow` that."""

    def __init__(self, course: Course) -> None:
        self.course = course
        self._edit: Edit | None = None
        self._lock = threading.Lock()
        self.reset()

    def follow(self, edit: Edit) -> None:
        """Play for a process of a run: only what is recorded of whoever is on stage there."""
        self._edit = edit

    def reset(self) -> None:
        """Start again, with no owner on stage."""
        self._stage = _Stage("", 1, None)
        self._claims: dict[str, Claim] = {}
        self._said: Counter[_Question] = Counter()
        self._at: Counter[tuple[str, int, str]] = Counter()
        self._refused: dict[str, tuple[Recording, Turn]] = {}

    def enter(self, owner: str | None, run: int, *, begins: bool, test: str | None) -> None:
        """Set the owner on stage, or none; `begins` if its messages start from the first.

        `test` is what to run to record its messages.
        """
        with self._lock:
            self._stage = _Stage(owner or "", run, test)
            self._refused.clear()  # Whoever is on stage now has a turn of their own.
            if owner is not None and begins:
                self.course.begun.add(owner)
                for question in [question for question in self._said if question.of == owner]:
                    del self._said[question]
                for place in [place for place in self._at if place[0] == owner]:
                    del self._at[place]

    def claim(self, key: str, claim: Claim) -> None:
        """Record the owner of an instance."""
        with self._lock:
            self._claims[key] = claim

    def has_no_order(self, owner: str, key: str | None) -> None:
        """Note that several threads chat for an owner with an instance, or with any."""
        with self._lock:
            self.course.unordered.add((owner, key))

    def moves_on(self, key: str) -> None:
        """Note that an instance is used otherwise: the turn of a refused message is over."""
        with self._lock:
            self._refused.pop(key, None)

    def answer(self, asked: Asked) -> tuple[Recording, Turn]:
        """Return the turn that answers a message; raises `NotRecordedError`."""
        if self._edit is not None:
            # Not under the lock: it may be a hook of the user's.
            message = self._edit(self._stage.owner, self._stage.run, asked.message)
            asked = replace(asked, message=message)
        with self._lock:
            again = self._refused.pop(asked.key, None)
            if again is None or again[1].message != asked.message:
                again = self._of_stage(asked) if self._edit else self._of_anybody(asked)
            recording, turn = again
            if turn.refused is not None and turn.refused.status in _ASK_AGAIN:
                self._refused[asked.key] = again
            self.course.given.add((recording.of, recording.turns.index(turn)))
            return again

    def uncounted(self, recording: Recording, turn: Turn) -> str | None:
        """Return words for a turn whose LLM events were not recorded; None where they are known."""
        refused = turn.refused
        if turn.llm_events is not None or (refused is not None and _never_ran(refused.status)):
            return None
        return (
            f"the LLM events of {shown(turn.message)}, recorded for {recording.of}, were not "
            "counted then; to record them, expect them after it (turn.expect_llm_events), and run: "
            f"{shlex.join(self._command())}"
        )

    def counted(self, asked: Asked) -> AllAsked:
        """Return what to say with a count of all recorded LLM events; the message is not used."""
        with self._lock:
            recording = self._recorded()
            mine = [] if recording is None else self._mine(recording, asked)[1]
            place = self._question(asked, mine)[:-1]
            said = sum(times for question, times in self._said.items() if question[:-1] == place)
            return AllAsked(shlex.join(self._command()), said >= len(mine))

    def _of_anybody(self, asked: Asked) -> tuple[Recording, Turn]:
        turns = self.course.of_message.get(asked.message)
        if turns is None:
            near = nearest(asked.message, self.course.of_message)
            raise NotRecordedError(
                f"{shown(asked.message)} is in no recording{near}; to record it, send it in a "
                f"test, and run that: {shlex.join(self._command())}"
            )
        question = _Question(asked.key, 1, None, (), asked.message)
        self._said[question] += 1
        return turns[(self._said[question] - 1) % len(turns)]

    def _of_stage(self, asked: Asked) -> tuple[Recording, Turn]:
        recording = self._recorded()
        if recording is None:
            problem = f"nothing was recorded for {self._stage.owner or 'no test'}"
            raise self._missing(asked, problem + self.course.of_another(asked.message))
        of_run, mine = self._mine(recording, asked)
        question = self._question(asked, mine)
        turns = [turn for turn in mine if turn.message == asked.message]
        if self._said[question] < len(turns):
            self._said[question] += 1
            if question.claim is not None:  # Those from a client can't be told apart.
                self._follow(recording.of, asked, mine)
            turn = turns[self._said[question] - 1]
            self.course.asks(recording.of, turn.spec, given(asked.spec))
            return recording, turn
        if turns:
            times = "once" if len(turns) == 1 else f"{len(turns)} times"
            problem = f"it was recorded {times} for {recording.of}, and is sent once more"
        elif any(turn.message == asked.message for turn in of_run):
            problem = f"it was recorded for {recording.of} on another instance"
        else:
            near = nearest(asked.message, [turn.message for turn in mine or of_run])
            problem = f"it was not recorded for {recording.of}{near}"
        raise self._missing(asked, problem)

    def _follow(self, owner: str, asked: Asked, mine: Sequence[Turn]) -> None:
        """Note a message that does not come after the instance's earlier ones as recorded.

        Recorded messages may be left out. `mine` may have other instances' turns among the
        instance's own: what is in order among these is in order among all.
        """
        place = (owner, self._stage.run, asked.key)
        for number in range(self._at[place], len(mine)):
            if mine[number].message == asked.message:
                self._at[place] = number + 1
                return
        self.course.late.setdefault((owner, asked.key), []).append(asked.message)

    def _recorded(self) -> Recording | None:
        """Return the recording of the owner on stage; None where it has no turns."""
        recording = self.course.recordings.by_owner.get(self._stage.owner)
        return recording if recording is not None and recording.turns else None

    def _mine(self, recording: Recording, asked: Asked) -> tuple[list[Turn], list[Turn]]:
        """Return the recorded turns of this run, and those of them on this instance."""
        claim = self._claims.get(asked.key)
        run = min(self._stage.run, max(turn.run for turn in recording.turns))
        of_run = [turn for turn in recording.turns if turn.run == run]
        return of_run, of_spec([turn for turn in of_run if turn.claim == claim], asked.spec)

    def _question(self, asked: Asked, mine: Sequence[Turn]) -> _Question:
        # As recorded: instances of different specs may share what was recorded of one.
        spec = tuple(sorted(mine[0].spec.items())) if mine else ()
        claim = self._claims.get(asked.key)
        return _Question(self._stage.owner, self._stage.run, claim, spec, asked.message)

    def _missing(self, asked: Asked, problem: str) -> NotRecordedError:
        problem = f"{shown(asked.message)}: {problem}"
        return NotRecordedError(f"{problem}; to record it: {shlex.join(self._command())}")

    def _command(self) -> list[str]:
        """Return the command that records what the owner on stage asks."""
        words = ["pytest", "--hydra-smoke", "--hydra-smoke-record"]
        words.append(shown_path(self.course.recordings.folder))
        return words if self._stage.test is None else [*words, self._stage.test]


def _never_ran(status: int) -> bool:
    """Return whether a refusal says that no agent has worked on the message."""
    return status == 503 or (400 <= status < 500 and status != 408)
