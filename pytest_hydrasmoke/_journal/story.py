"""One instance's story: what its events make of it, however many processes have seen them.

A process applies its own events as it writes them; the report applies those of all processes. What
grows with the number of requests and chats is bounded, the newest being kept, so that a run of
hours takes no more memory than one of minutes.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from .chat import Counted, Tokens, Turn, TurnBegan
from .events import (
    Attempt,
    Became,
    Blamed,
    Claimed,
    Conflict,
    Drifted,
    Event,
    Failed,
    Hosted,
    Interrupted,
    Leaked,
    Noted,
    Prepared,
    Skipped,
    Status,
    Took,
    Used,
)
from .instance import Instance

E = TypeVar("E")

MOST = 2_000
"""How many of an instance's requests, chats and readings are kept."""
MOST_WORDS = 200
"""How many status words of an instance are kept."""
MOST_MODELS = 20
"""How many models of an instance are kept."""
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
class Failure:
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


@dataclass(kw_only=True)
class Story(Instance):
    """What is told of an instance; seconds everywhere."""

    hostname: str | None = None
    leak: str | None = None
    """Why its deletion is not confirmed, once the run has given up on it."""
    conflict: str | None = None
    """Something that makes the run red, and is neither a leak nor a test's failure."""
    failed: bool = False
    """Whether a test that used it failed, in set-up, call or teardown."""
    interrupted: str | None = None
    """The boot phase that was interrupted without a failure of its own."""
    statuses: list[str] = field(default_factory=list[str])
    """The status words seen, cut and without repeats; if there are many, the first and the last."""
    status_times: list[float] = field(default_factory=list[float])
    """When each of them was first seen."""
    phases: dict[str, float] = field(default_factory=dict[str, float])
    """The longest time that each phase took."""
    spans: deque[Told[Took]] = field(default_factory=lambda: deque[Told[Took]](maxlen=MOST))
    exchanges: deque[Told[Attempt]] = field(
        default_factory=lambda: deque[Told[Attempt]](maxlen=MOST)
    )
    turns: deque[ToldTurn] = field(default_factory=lambda: deque[ToldTurn](maxlen=MOST // 10))
    counted: deque[Told[Counted]] = field(default_factory=lambda: deque[Told[Counted]](maxlen=MOST))
    failures: dict[tuple[str, float], Failure] = field(
        default_factory=dict[tuple[str, float], Failure]
    )
    """By process and number; a test's own failure by the test and its time."""
    waits: dict[str, float] = field(default_factory=dict[str, float])
    """The longest of each of `WAITS`."""
    tokens: Tokens = field(default_factory=Tokens)
    """The sum over all chats that reported usage."""
    models: list[str] = field(default_factory=list[str])
    """Those that its chats named, in their order; of many, the first."""
    untold: int = 0
    """Chats without usage."""
    chats: int = 0
    """Number of chat turns, refused ones included."""
    requests: Counter[str] = field(default_factory=Counter[str])
    retries: int = 0
    notes: dict[str, str] = field(default_factory=dict[str, str])
    """Notes, each with its version without words of an agent."""
    drift: list[str] = field(default_factory=list[str])
    streamed: bool = False
    """Whether events of a chat ever came one after the other."""
    tests: dict[str, bool] = field(default_factory=dict[str, bool])
    """The tests that used it, and whether that was in their teardown alone."""

    def apply(self, process: str, at: float, event: Event) -> None:
        """Add what a process has written of it."""
        match event:
            case Claimed() | Became() | Prepared():
                self.learn(event)
            case Used():
                self.tests[event.test] = event.teardown and self.tests.get(event.test, True)
            case Status():
                self._saw_status(at, event.word)
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
            case _:
                self._apply_story(process, at, event)

    def _apply_story(self, process: str, at: float, event: Event) -> None:
        match event:
            case Noted():
                text = event.brief if event.text is None else event.text
                if len(self.notes) < MOST_NOTES:
                    self.notes.setdefault(text, event.brief or text)
            case Took():
                self.phases[event.phase] = max(event.seconds, self.phases.get(event.phase, 0.0))
                self.spans.append(Told(at, event))
            case Attempt():
                self.requests[event.call] += 1
                self.retries += event.number > 1
                self.exchanges.append(Told(at, event))
            case Skipped():
                self.requests[event.call] += event.times
            case Failed():
                failure = Failure(at, event.message, event.brief, event.phase)
                self.add_failure((process, event.number), failure)
            case Drifted():
                self.drift += [] if event.text in self.drift else [event.text]
            case TurnBegan():
                self.chats += 1
                begun = Turn(event.number, event.message, event.test, event.run)
                self.turns.append(ToldTurn(at, begun, process))
            case Turn():
                self._keep_turn(ToldTurn(at, event, process))
                self._sum_up(event)
            case Counted():
                self.counted.append(Told(at, event))
            case _:
                pass

    def add_failure(self, key: tuple[str, float], failure: Failure) -> None:
        """Add a failure; of many, the newest are kept."""
        self.failures[key] = failure
        if len(self.failures) > MOST // 100:
            del self.failures[next(iter(self.failures))]

    def _saw_status(self, at: float, word: str) -> None:
        if self.statuses[-1:] == [word]:
            return
        if len(self.statuses) == MOST_WORDS:
            self.statuses.pop()
            self.status_times.pop()
        self.statuses.append(word)
        self.status_times.append(at)

    def _keep_turn(self, told: ToldTurn) -> None:
        """Keep a turn that is over, in the place of its beginning."""
        for place in range(len(self.turns) - 1, -1, -1):
            before = self.turns[place]
            if (before.process, before.turn.number) == (told.process, told.turn.number):
                self.turns[place] = told
                return
        self.turns.append(told)

    def _sum_up(self, turn: Turn) -> None:
        """Count a finished turn: how long its reader waited, how it came, and its tokens.

        A proxy that holds back one stream holds back all of them.
        """
        if turn.taken:
            gap = turn.max_gap if turn.events > 1 else None
            for name, seconds in zip(WAITS, (turn.first_text_after, gap), strict=True):
                if seconds is not None:
                    self.waits[name] = max(seconds, self.waits.get(name, 0.0))
            new = [model for model in turn.models if model not in self.models]
            self.models += new[: MOST_MODELS - len(self.models)]
            if turn.usage is None:
                self.untold += 1
            else:
                self.tokens = added(self.tokens, turn.usage)
        if turn.pace == "streamed":
            self.streamed = True
            self.notes.pop(HELD_BACK, None)
        elif turn.pace == "at once" and not self.streamed:
            self.notes.setdefault(HELD_BACK, HELD_BACK)


def added(one: Tokens, other: Tokens) -> Tokens:
    """Add tokens."""
    return Tokens(*(mine + its for mine, its in zip(one, other, strict=True)))
