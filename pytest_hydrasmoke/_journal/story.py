"""What is told of one instance: what its events make of it, however many processes have seen them.

A process applies its own events as it writes them; the report applies those of all processes. What
grows with the number of requests and chats is bounded, the newest being kept, so that a run of
hours takes no more memory than one of minutes.
"""

from __future__ import annotations

import operator
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from .chat import MOST_MODELS, Counted, Tokens, Turn, TurnBegan
from .events import (
    Alive,
    Attempt,
    Became,
    Blamed,
    Claimed,
    Conflict,
    Doing,
    Drifted,
    Event,
    Failed,
    FailedTest,
    Hosted,
    Interrupted,
    Leaked,
    Noted,
    Prepared,
    Skipped,
    Status,
    Took,
    Used,
    Vanished,
)
from .known_instance import KnownInstance

E = TypeVar("E")

MOST = 2_000
"""How many of an instance's requests, chats and readings are kept."""
MOST_WORDS = 200
"""How many status words of an instance are kept."""
MOST_NOTES = 100
"""How many notes on an instance are kept."""
WAITS = ("first_text", "gap")
"""Times in a chat that are no phases: until the reply's first text, and between two events."""
PHASES = ("provision", "row", "ready", "first_event", "turn", "llm_events", "delete")
BOOT = PHASES[:3]
"""The phases until an instance is ready."""
TOKENS = "tokens"
BUDGETS = (*PHASES, *WAITS, TOKENS)
"""Names that can have a budget; the one for tokens is the whole run's."""
HELD_BACK = (
    "a chat's stream came all at once: is it held back on the way? (nginx: proxy_buffering off, "
    "or X-Accel-Buffering: no)"
)


class Told(NamedTuple, Generic[E]):
    """An event, and when it was."""

    at: float
    event: E


class ToldTurn(NamedTuple):
    """A chat turn, and when its request was sent."""

    at: float
    turn: Turn
    process: str = ""


@dataclass(slots=True, eq=False)
class ToldFailure:
    """What went wrong, in a phase or in a test; one that made no test fail was expected."""

    at: float
    message: str | None
    brief: str
    phase: str | None = None
    test: str | None = None
    """The test that failed because of it."""
    cured: bool = False
    """Whether that test passed when it was run again."""
    repeated: bool = False
    """Whether a plugin runs that test again."""


@dataclass
class Requests:
    """The requests about an instance."""

    times: Counter[str] = field(default_factory=Counter[str])
    """How many there were of each call."""
    retries: int = 0
    kept: deque[Told[Attempt]] = field(default_factory=lambda: deque[Told[Attempt]](maxlen=MOST))

    def apply(self, at: float, event: Attempt | Skipped) -> None:
        if isinstance(event, Skipped):
            self.times[event.call] += event.times
        else:
            self.times[event.call] += 1
            self.retries += event.number > 1
            self.kept.append(Told(at, event))


@dataclass
class Chats:
    """The chat turns on an instance, and the counts of its LLM events."""

    times: int = 0
    """How many turns there were, refused ones included."""
    turns: deque[ToldTurn] = field(default_factory=lambda: deque[ToldTurn](maxlen=MOST // 10))
    waits: dict[str, float] = field(default_factory=dict[str, float])
    """The longest of each of `WAITS`."""
    tokens: Tokens = field(default_factory=Tokens)
    """The sum over all turns that reported usage."""
    untold: int = 0
    """Turns without usage."""
    models: list[str] = field(default_factory=list[str])
    """Those that its turns named, in their order; of many, the first."""
    streamed: bool = False
    """Whether events of a turn ever came one after the other."""
    counted: deque[Told[Counted]] = field(default_factory=lambda: deque[Told[Counted]](maxlen=MOST))

    def apply(self, process: str, at: float, event: TurnBegan | Turn | Counted) -> None:
        match event:
            case TurnBegan():
                self.times += 1
                begun = Turn(event.number, event.message, event.test, event.run)
                self.turns.append(ToldTurn(at, begun, process))
            case Turn():
                self._keep(ToldTurn(at, event, process))
                self.streamed |= event.pace == "streamed"
                if event.taken:
                    self._sum_up(event)
            case _:
                self.counted.append(Told(at, event))

    def _keep(self, told: ToldTurn) -> None:
        """Keep a turn that is over, in the place of its beginning."""
        for place in range(len(self.turns) - 1, -1, -1):
            before = self.turns[place]
            if (before.process, before.turn.number) == (told.process, told.turn.number):
                self.turns[place] = told
                return
        self.turns.append(told)

    def _sum_up(self, turn: Turn) -> None:
        """Count a finished turn: how long its reader waited, its models, and its tokens."""
        gap = turn.max_gap if turn.events > 1 else None
        for name, seconds in zip(WAITS, (turn.first_text_after, gap), strict=True):
            if seconds is not None:
                self.waits[name] = max(seconds, self.waits.get(name, 0.0))
        new = [model for model in turn.models if model not in self.models]
        self.models += new[: MOST_MODELS - len(self.models)]
        if turn.usage is None:
            self.untold += 1
        else:
            self.tokens = Tokens(*map(operator.add, self.tokens, turn.usage))


@dataclass(kw_only=True)
class Story(KnownInstance):
    """What is told of an instance; seconds everywhere."""

    hostname: str | None = None
    leak: str | None = None
    """Why its deletion is not confirmed, once the run has given up on it."""
    conflict: str | None = None
    """Something that makes the run red, and is neither a leak nor a test's failure."""
    failed: bool = False
    """Whether a test that used it failed, in set-up, call or teardown."""
    asked_to_go: bool = False
    """Whether its deletion has begun: a DELETE may have left, and died unanswered."""
    interrupted: str | None = None
    """The boot phase that was interrupted without a failure of its own."""
    statuses: list[Told[Status]] = field(default_factory=list[Told[Status]])
    """The status words seen, cut and without repeats, each from when it was first seen; if there
    are many, the first and the last."""
    phases: dict[str, float] = field(default_factory=dict[str, float])
    """The longest time that each phase took."""
    spans: deque[Told[Took]] = field(default_factory=lambda: deque[Told[Took]](maxlen=MOST))
    requests: Requests = field(default_factory=Requests)
    chats: Chats = field(default_factory=Chats)
    failures: dict[tuple[str, float], ToldFailure] = field(
        default_factory=dict[tuple[str, float], ToldFailure]
    )
    """By process and number; a test's own failure by the test and its time."""
    notes: dict[str, str] = field(default_factory=dict[str, str])
    """Notes, each with its version without words of an agent."""
    drift: list[str] = field(default_factory=list[str])
    tests: dict[str, bool] = field(default_factory=dict[str, bool])
    """The tests that used it, and whether that was in their teardown alone."""

    def apply(self, process: str, at: float, event: Event) -> None:
        """Add what a process has written of it."""
        match event:
            case Claimed() | Became() | Vanished() | Alive() | Prepared():
                self.learn(event)
            case Attempt() | Skipped():
                self.requests.apply(at, event)
            case TurnBegan() | Turn() | Counted():
                self.chats.apply(process, at, event)
                if isinstance(event, Turn):
                    self._note_pace(event)
            case Used():
                self.tests[event.test] = event.teardown and self.tests.get(event.test, True)
            case Status():
                self._saw_status(Told(at, event))
            case Took():
                self.phases[event.phase] = max(event.seconds, self.phases.get(event.phase, 0.0))
                self.spans.append(Told(at, event))
            case Failed():
                failure = ToldFailure(at, event.message, event.brief, event.phase)
                self._add_failure((process, event.number), failure)
            case Doing():
                self.asked_to_go |= event.phase == "delete"
            case Hosted():
                self.hostname = event.hostname
            case Leaked():
                self.leak = event.why
            case Conflict():
                self.conflict = event.why
            case Blamed():
                self.failed = True
            case Interrupted():
                self.interrupted = event.phase
            case Noted():
                text = event.brief if event.text is None else event.text
                if len(self.notes) < MOST_NOTES:
                    self.notes.setdefault(text, event.brief or text)
            case Drifted():
                self.drift += [] if event.text in self.drift else [event.text]
            case _:
                pass

    def _saw_status(self, told: Told[Status]) -> None:
        if self.status == told.event.word:
            return
        if len(self.statuses) == MOST_WORDS:
            self.statuses.pop()
        self.statuses.append(told)

    @property
    def status(self) -> str | None:
        """The last status word seen."""
        return self.statuses[-1].event.word if self.statuses else None

    def _note_pace(self, turn: Turn) -> None:
        """Note how a turn came: a proxy that holds back one stream holds back all of them."""
        if turn.pace == "streamed":
            self.notes.pop(HELD_BACK, None)
        elif turn.pace == "at once" and not self.chats.streamed:
            self.notes.setdefault(HELD_BACK, HELD_BACK)

    def fail_test(self, process: str, at: float, event: FailedTest, *, uses: bool) -> None:
        """Add the failure of a test that used it (`uses`), or that failed because of it."""
        mine = [self.failures.get((process, number)) for number in event.causes]
        causes = [failure for failure in mine if failure is not None]
        for failure in causes:
            failure.test = failure.test or event.test
            failure.repeated = event.again
        if uses:
            self.failed |= not event.again
            if not causes:
                words, brief = event.message, event.brief
                failure = ToldFailure(at, words, brief, test=event.test, repeated=event.again)
                self._add_failure((event.test, at), failure)

    def _add_failure(self, key: tuple[str, float], failure: ToldFailure) -> None:
        """Add a failure; of many, the newest are kept."""
        self.failures[key] = failure
        if len(self.failures) > MOST // 100:
            del self.failures[next(iter(self.failures))]

    def cure(self, test: str) -> None:
        """Mark the failures of a test that a plugin has run again, with success."""
        for failure in self.failures.values():
            failure.cured |= failure.repeated and failure.test == test
