"""The record of what happened, and when: every report is made from it, and it decides nothing.

While a run lasts, the lifecycle writes to each instance's `InstanceRecord`; at the end
`_report.build` makes a report of the records. Points in time are seconds of the IO's clock. What
grows with the number of requests and chats is bounded, the newest being kept, so that a run of
hours takes no more memory than one of minutes.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_hydrasmoke._api.models import InstanceSpec, plain_id
from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.run_keys import run_of
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._runtimes.content import TokenUsage

from .listener import RecordListener
from .moments import (
    MOST,
    MOST_NOTES,
    MOST_PROVIDERS,
    MOST_WORD,
    MOST_WORDS,
    Doing,
    Exchange,
    Failure,
    Span,
    TurnStory,
    UsageCount,
)
from .pauses import HELD_BACK, Pace
from .phases import WAITS
from .proof import Evidence
from .sightings import Sightings
from .states import State
from .turn_account import Baseline, Counted, TurnAccount, settles
from .turn_log import TurnLog

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pytest_hydrasmoke._api.calls import Attempt
    from pytest_hydrasmoke._base.errors import HydraSmokeError
    from pytest_hydrasmoke._transport.protocol import CallName


@dataclass(frozen=True, slots=True)
class Origin:
    """The only user of an instance: a test or a fixture, and which of its instances it is."""

    owner: str
    number: int
    """From 0, in the order of claims."""


@dataclass
class InstanceRecord:
    """One instance's story, as an `Observer` of its calls; seconds everywhere."""

    spec: InstanceSpec | None
    """None if it is not known, as for an attached instance."""
    key: str | None
    id: str | None = None
    hostname: str | None = None
    state: State = State.CLAIMED
    origin: Origin | None = None
    """None where tests share it, and where a test has provisioned it by hand."""
    born: float | None = None
    """When it was requested, on the IO's clock; None if it may be older than the run."""
    statuses: list[str] = field(default_factory=list[str])
    """The status words seen, cut and without repeats; if there are many, the first and the last."""
    status_times: list[float] = field(default_factory=list[float])
    """When each of them was first seen."""
    doing: Doing | None = None
    calling: str | None = None
    """The tool that the agent calls in the turn under way."""
    phases: dict[str, float] = field(default_factory=dict[str, float])
    """The longest time that each phase took."""
    spans: deque[Span] = field(default_factory=lambda: deque[Span](maxlen=MOST))
    exchanges: deque[Exchange] = field(default_factory=lambda: deque[Exchange](maxlen=MOST))
    turns: deque[TurnStory] = field(default_factory=lambda: deque[TurnStory](maxlen=MOST // 10))
    counted: deque[UsageCount] = field(default_factory=lambda: deque[UsageCount](maxlen=MOST))
    failures: deque[Failure] = field(default_factory=lambda: deque[Failure](maxlen=MOST // 100))
    waits: dict[str, float] = field(default_factory=dict[str, float])
    """The longest of each of `WAITS`."""
    tokens: TokenUsage = field(default_factory=lambda: TokenUsage(0, 0))
    """The sum over all chats that reported usage."""
    untold: int = 0
    """Chats without usage."""
    chats: int = 0
    """Number of chat turns, refused ones included."""
    account: TurnAccount | None = None
    """The last turn's."""
    log: TurnLog = field(default_factory=TurnLog, repr=False)
    """The turns on it of all processes that use it, and what is known of their LLM events."""
    requests: Counter[str] = field(default_factory=Counter[str])
    retries: int = 0
    unknown_outcomes: int = 0
    """Provision attempts that may have been carried out although no answer says so."""
    streamed: bool = False
    """Whether events of a chat ever came one after the other."""
    notes: list[str] = field(default_factory=list[str])
    briefs: dict[str, str] = field(default_factory=dict[str, str])
    """Notes with words of an agent, each with its version without them."""
    sightings: Sightings = field(default_factory=Sightings)
    leak: str | None = None
    """Why its deletion is not confirmed, once the run has given up on it."""
    takes_slot: bool = True
    """Whether its key is a slot's, which another run with the same id would use too."""
    ids: list[str] = field(default_factory=list[str])
    """The instances that the key's own answers have named."""
    evidence: Evidence = field(default_factory=Evidence)
    """What was seen of them since their deletion was asked for."""
    deletion_asked: bool = False
    """Whether this run may have requested its deletion before."""
    was_ready: bool = False
    refused_at: float | None = None
    """When the router refused the request; None if it did not."""
    gone_at: float | None = None
    """When it was last proved gone."""
    conflict: str | None = None
    """Something that makes the run red, and is neither a leak nor a test's failure."""
    touched: bool = False
    """Whether a call about it was made since this was last reset, at a test's set-up."""
    interrupted: str | None = None
    """The boot phase that was interrupted without a failure of its own."""
    failed: bool = False
    """Whether a test that used it failed, in set-up, call or teardown."""
    shared_across_workers: bool = False
    """Whether all workers share it: the main process deletes it then."""
    attached: bool = False
    """Whether the run is attached to it: it has no key, and is never deleted."""
    listener: RecordListener = field(default_factory=lambda: RecordListener(), repr=False)
    _gone: frozenset[str] = field(default=frozenset(), repr=False)
    """The ids that were proved gone."""
    _told: tuple[State, str | None] | None = field(default=None, repr=False)
    """The state and the id that the listener was told last."""
    _given_up: bool = field(default=False, repr=False)
    """Whether the run ended before it was requested."""
    _claim: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def run_id(self) -> str | None:
        """The run id in its key."""
        return run_of(self.key)

    @property
    def reference(self) -> str | None:
        """The name that tests use for it: its key, or the id of one without a key."""
        return self.key or self.id

    @property
    def last_state(self) -> str | None:
        """The last status word, in readable form."""
        return safe_line(f"status {self.statuses[-1]!r}") if self.statuses else None

    @property
    def name(self) -> str:
        """Id and key, as far as there are any."""
        return " ".join(
            part for part in (self.id, self.key and f"(key {self.key})") if part is not None
        )

    @property
    def known_ids(self) -> list[str]:
        """The instances that are this record's to delete."""
        known: dict[str, str] = {}
        for one in (self.id, *self.ids):
            if one is not None:
                known.setdefault(plain_id(one), one)
        return [*known.values()]

    def permit(self) -> None:
        """Ask whether the run may go on; raises what its listener raises."""
        self.listener.permit(self)

    def leaves(self) -> None:
        """Become requested; raises what the listener raises, and where the claim was given up.

        A test's thread may be here as the run ends in another: only one of them may go on.
        """
        self.permit()
        with self._claim:
            if not self._given_up:
                self.state = State.REQUESTED
        if self._given_up:
            raise ConfigError(
                "the run ended before this instance was requested",
                next_step="let a test wait for the threads that it starts",
            )
        self.becomes(State.REQUESTED)

    def give_up(self) -> None:
        """Become unused if nothing was requested yet: from here on, nothing is."""
        with self._claim:
            if self.state is not State.CLAIMED:
                return
            self.state, self._given_up = State.UNUSED, True
        self.becomes(State.UNUSED)

    def becomes(self, state: State) -> None:
        # An answer that a test's thread still waited for, as the run's end has deleted it: no news,
        # but for another id.
        over = {State.GONE, State.DELETED}
        if self.state in over and state not in over and plain_id(self.id or "") in self._gone:
            return
        self.was_ready |= state is State.READY
        self.state = state
        if self._told != (state, self.id):
            self._told = state, self.id
            self.listener.state_changed(self)
        self.listener.changed(self)

    def names(self, instance_id: str) -> None:
        """Become created: an answer about the key names this instance, alive for all it shows."""
        self.ids = [*self.known_ids, instance_id]
        self.id = instance_id
        self.becomes(State.CREATED)

    def is_gone(self, at: float, *, ends: bool) -> None:
        """Become gone, or deleted where nobody looks again since the router `ends` with the run."""
        self.gone_at = at
        self._gone = frozenset(map(plain_id, self.known_ids))
        self.becomes(State.DELETED if ends else State.GONE)

    def revive(self) -> None:
        """Become created again: what was proved gone is there."""
        self.gone_at, self._gone = None, frozenset()
        self.evidence = Evidence()
        self.becomes(State.CREATED)

    def refuses(self, at: float) -> None:
        """Become refused."""
        self.refused_at = at
        self.becomes(State.REFUSED)

    def begins(self, phase: str, at: float, deadline: float | None) -> None:
        self.doing = Doing(phase, at, deadline)
        self.listener.changed(self)

    def calls(self, tool: str | None) -> None:
        """Record the tool that the agent is calling in its turn, None after the call."""
        self.calling = tool
        self.listener.changed(self)

    def rests(self) -> None:
        self.doing = self.calling = None
        self.listener.changed(self)

    def took(self, phase: str, at: float, seconds: float) -> None:
        self.phases[phase] = max(seconds, self.phases.get(phase, 0.0))
        self.spans.append(Span(phase=phase, at=at, seconds=seconds))

    def fails(self, failure: Failure, error: HydraSmokeError | None = None) -> None:
        """Record a failure; an error that was seen before is the same failure."""
        if error is not None:
            if error.failure is not None:
                return
            error.failure = failure
        self.failures.append(failure)

    def opens_account(self, before: Baseline) -> TurnAccount:
        """Begin a turn with the count before it, which also bounds the turn before it."""
        if self.account is not None:
            self.account.after = before
            last = self.log.history.last
            if before.error is None and self.account.found is not None:
                self.account.saw(before.at, before.count, before.providers)
            # What a turn that its client left still causes may come in after any count.
            elif last is not None and last.how == "ended" and settles(self.account.before, before):
                self.account.found = Counted(last.rose, before.count, before.providers)
        self.account = TurnAccount(before)
        self.chats += 1
        return self.account

    def saw_status(self, word: str, at: float) -> None:
        word = word[:MOST_WORD]
        if self.statuses[-1:] != [word]:
            if len(self.statuses) == MOST_WORDS:
                self.statuses.pop()
                self.status_times.pop()
            self.statuses.append(word)
            self.status_times.append(at)
            self.listener.changed(self)

    def saw_attempt(self, attempt: Attempt) -> None:
        request, outcome = attempt.request, attempt.outcome
        self.touched = True
        self.requests[request.call] += 1
        if attempt.number > 1:
            self.retries += 1
        if request.call == "provision" and attempt.outcome_unknown:
            self.unknown_outcomes += 1
        status = outcome if isinstance(outcome, int) else None
        error = None if isinstance(outcome, int) else outcome.message
        self.sightings.saw_attempt(attempt)
        self.exchanges.append(
            Exchange(
                call=request.call,
                method=request.method,
                path=request.path,
                attempt=attempt.number,
                at=attempt.at,
                seconds=attempt.seconds,
                status=status,
                error=error,
            )
        )

    def saw_answer(self, call: CallName, code: int, answer: BaseModel) -> None:
        self.sightings.saw_answer(call, code, answer)

    def saw_count(self, at: float, count: int, providers: tuple[str, ...]) -> None:
        last = self.counted[-1] if self.counted else None
        seen = tuple(name[:MOST_WORD] for name in sorted(set(providers))[:MOST_PROVIDERS])
        if last is not None and last.providers == seen:
            if last.count == count:
                return
            seen = last.providers  # Names are kept once, not with each of thousands of counts.
        self.counted.append(UsageCount(at=at, count=count, providers=seen))

    def saw_turn(self, story: TurnStory) -> None:
        """Count a finished turn: how long its reader waited, and its tokens."""
        gap = story.max_gap if story.events > 1 else None
        for name, seconds in zip(WAITS, (story.first_text_after, gap), strict=True):
            if seconds is not None:
                self.waits[name] = max(seconds, self.waits.get(name, 0.0))
        if story.usage is None:
            self.untold += 1
        else:
            self.tokens += story.usage

    def saw_pace(self, pace: Pace | None) -> None:
        """Note a stream that came all at once, unless any on the instance came event by event.

        A proxy that holds back one stream holds back all of them.
        """
        if pace == "streamed":
            self.streamed = True
            self.notes[:] = [note for note in self.notes if note != HELD_BACK]
        elif pace == "at once" and not self.streamed:
            self.add_remark(HELD_BACK)

    def add_remark(self, text: str, brief: str | None = None) -> None:
        """Add a note; `brief` is its version without words of an agent, if it has any."""
        if text not in self.notes and len(self.notes) < MOST_NOTES:
            self.notes.append(text)
            if brief is not None:
                self.briefs[text] = brief
