"""The state of a fake router.

It is what was requested and when; everything else is a pure function of that and of
`clock.now()`. Nothing runs in the background, so a virtual clock can set a world to any moment.
Calls may come from several threads: the server's and the test's.
"""

from __future__ import annotations

import math
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pytest_hydrasmoke._base.clock import now

from .agent_events import Conversation
from .faults import Faults
from .records import FakeInstance, LlmEvent, Progress, RequestRecord, public
from .replies import Replies
from .requests import SmokeProvisionRequest
from .scenario import Scenario, ready

if TYPE_CHECKING:
    from .agent import Agent

_CHILD_ROWS = ("agent", "server", "dns_record")


@public
class Clock(Protocol):
    """What the fake needs of a clock, real, virtual or set by hand."""

    def now(self) -> float:
        """Return the time in seconds, from an arbitrary start; it never goes back."""
        ...


class RealClock:
    """The machine's time, whatever a test does to its clocks."""

    def now(self) -> float:
        return now()


def _progress(ends_at: float, now: float) -> Progress:
    """Return how far a task is: its end is known when it begins, so that nothing has to run."""
    return "running" if now < ends_at else "done"


@dataclass(slots=True)
class _Row:
    order: SmokeProvisionRequest
    provisioned_at: float
    created_at: float
    """From when there is a row: `inf` for never."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    deleted_at: float | None = None
    cleaned_at: float | None = None


@dataclass(slots=True, eq=False)
class AgentTurn:
    """A chat turn in a world; it ends at most once, and then leaves LLM events."""

    world: World
    instance_id: str
    providers: Sequence[str] | None = None
    """That of each LLM event, as recorded or as a real agent tells; None: the scenario's."""
    recorded: bool = False
    """Whether a recording says which these are: none are made up where nobody counted them."""
    ended: bool = False
    over: bool = False
    """Whether nothing more can come of it, also where it never came to its end."""

    def end(self) -> None:
        """Write its LLM events; harmless if done before."""
        if not self.ended:
            self.world.end_turn(self)
            # Not before: somebody may ask meanwhile what is still to come.
            self.ended = self.over = True


class World:
    def __init__(self, scenario: Scenario, clock: Clock) -> None:
        self.scenario = scenario
        self.clock = clock
        self.agent: Agent | None = None
        """The real agent that answers chats, where there is one."""
        self.replies = Replies(scenario.replies)
        self.faults = Faults(scenario)
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget every instance, request, LLM event, added reply and pending fault."""
        self.replies.reset()
        self.faults.reset()
        with self._lock:
            self._rows: dict[str, _Row] = {}
            self._by_key: dict[str, _Row] = {}
            self._requests: list[dict[str, Any]] = []
            self._llm_events: list[LlmEvent] = []
            self._turns: list[AgentTurn] = []
            self.conversations: dict[str, Conversation] = {}

    def provision(
        self, order: SmokeProvisionRequest
    ) -> FakeInstance | Literal["conflict", "quota"]:
        """Accept an order, once per idempotency key; or return why the scenario refuses it."""
        with self._lock:
            row = self._by_key.get(order.idempotency_key)
            if row is None:
                alive = sum(other.deleted_at is None for other in self._rows.values())
                if self.scenario.quota is not None and alive >= self.scenario.quota:
                    return "quota"
                now = self.clock.now()
                row = _Row(order, now, now + self.scenario.row_after)
                self._by_key[order.idempotency_key] = self._rows[row.id] = row
            elif row.order != order and self.scenario.second_key == "conflict":
                return "conflict"
            return self._seen(row)

    def find(self, instance_id: str) -> FakeInstance | None:
        """Return what a caller sees under this id, which may be a deleted instance."""
        with self._lock:
            return self._visible(self._rows.get(instance_id))

    def find_by_key(self, idempotency_key: str) -> FakeInstance | None:
        """Like `find`, by idempotency key."""
        with self._lock:
            return self._visible(self._by_key.get(idempotency_key))

    def find_alive(self, instance_id: str) -> FakeInstance | None:
        """Return the instance if its row exists and was not deleted."""
        seen = self.find(instance_id)
        return None if seen is None or seen.deleted else seen

    def find_deleted(self, instance_id: str) -> FakeInstance | None:
        """Return the instance if it was deleted, whether or not callers still see it."""
        with self._lock:
            row = self._rows.get(instance_id)
            return None if row is None or row.deleted_at is None else self._seen(row)

    def delete(self, instance_id: str) -> Literal["unknown", "deleted", "deleted_before"]:
        """Delete softly; a row that no worker has inserted yet is unknown and appears later."""
        with self._lock:
            row = self._rows.get(instance_id)
            now = self.clock.now()
            if row is None or now < row.created_at:
                return "unknown"
            if row.deleted_at is not None:
                return "deleted_before"
            row.deleted_at = now
            row.cleaned_at = now + self.scenario.cleanup_after
            return "deleted"

    def begin_turn(self, instance_id: str, recorded: Sequence[str] | None = None) -> AgentTurn:
        """Begin a turn, of which the providers of all LLM events may be recorded."""
        turn = AgentTurn(self, instance_id, recorded, recorded is not None)
        with self._lock:
            self._turns.append(turn)
        return turn

    def end_turn(self, turn: AgentTurn) -> None:
        scenario, at = self.scenario, self.clock.now()
        with self._lock:
            if turn not in self._turns:  # Its world was reset.
                return
            providers, gap = turn.providers, 0.0
            if not turn.recorded:
                at, gap = at + scenario.llm_events_lag, scenario.llm_events_gap
                # A scenario may lose an agent's events, too.
                if providers is None or scenario.llm_events_per_turn == 0:
                    first = len(self._events_of(turn.instance_id))
                    providers = [
                        scenario.providers[number % len(scenario.providers)]
                        for number in range(first, first + scenario.llm_events_per_turn)
                    ]
            for provider in providers or ():
                self._llm_events.append(LlmEvent(turn.instance_id, provider, at))
                at += gap

    def _events_of(self, instance_id: str) -> list[LlmEvent]:
        return [event for event in self._llm_events if event.instance_id == instance_id]

    def all_counted(self, instance_id: str) -> bool:
        """Return whether all LLM events of an instance's turns so far are written.

        False, too, for one with a turn that no recording answered: its events are not recorded.
        """
        with self._lock:
            counted = all(
                turn.recorded and (turn.ended or not turn.providers)
                for turn in self._turns
                if turn.instance_id == instance_id
            )
            return counted and not self._unwritten(instance_id)

    def to_come(self, instance_id: str) -> bool:
        """Return whether LLM events of an instance's turns so far may still be written."""
        with self._lock:
            open_ones = any(it.instance_id == instance_id and not it.over for it in self._turns)
            return open_ones or self._unwritten(instance_id)

    def _unwritten(self, instance_id: str) -> bool:
        now = self.clock.now()
        return any(event.at > now for event in self._events_of(instance_id))

    def llm_events(self, instance_id: str | None = None) -> tuple[LlmEvent, ...]:
        """Return the rows written by now, of one instance or of all, in their turns' order."""
        with self._lock:
            now = self.clock.now()
            return tuple(
                event
                for event in self._llm_events
                if event.at <= now and instance_id in (None, event.instance_id)
            )

    def open_record(
        self, method: str, path: str, query: str, headers: dict[str, str]
    ) -> dict[str, Any]:
        """Record a request in its order of arrival; `app` fills in what comes of it."""
        record: dict[str, Any] = {"method": method, "path": path, "query": query}
        record |= {"route": None, "status": None, "body": None, "at": self.clock.now()}
        record["headers"] = headers
        with self._lock:
            self._requests.append(record)
        return record

    def requests(self) -> tuple[RequestRecord, ...]:
        """Return every request so far, in order of arrival."""
        with self._lock:
            return tuple(RequestRecord(**record) for record in self._requests)

    def instances(self) -> tuple[FakeInstance, ...]:
        """Return every instance in its current state, in order of provision, with deleted ones."""
        with self._lock:
            return tuple(self._seen(row) for row in self._rows.values())

    def _visible(self, row: _Row | None) -> FakeInstance | None:
        if row is None:
            return None
        seen = self._seen(row)
        gone = seen.deleted and self.scenario.after_delete == "404"
        return None if seen.status is None or gone else seen

    def _seen(self, row: _Row) -> FakeInstance:
        scenario, now = self.scenario, self.clock.now()
        created_at = row.created_at
        ready_after = next(
            (after for after, it in scenario.statuses if ready(it, scenario.ready_words)), math.inf
        )
        booted = now >= created_at + ready_after
        deleted = row.deleted_at is not None
        reached = [word for after, word in scenario.statuses if now - created_at >= after]
        word = reached[-1] if reached else None
        hostname = None
        if word is not None and booted:
            # A deleted row's hostname is changed, so that the next row can use it.
            hostname = f"smoke-{row.id[:8]}.example" + ("-deleted" if deleted else "")
        cleanup = None if row.cleaned_at is None else _progress(row.cleaned_at, now)
        gone = scenario.cleaned_word if cleanup == "done" else None
        status = (gone or scenario.gone_word) if deleted else word
        return FakeInstance(
            **dict(row.order),
            id=row.id,
            task_id=row.task_id,
            status=status,
            hostname=hostname,
            ready=ready(word, scenario.ready_words) and not deleted,
            deleted=deleted,
            task=_progress(created_at, now),
            child_rows=() if deleted or word is None else _CHILD_ROWS,
            cleanup=cleanup,
            provisioned_at=row.provisioned_at,
            created_at=_moment(created_at),
            ready_at=_moment(created_at + ready_after),
            deleted_at=row.deleted_at,
        )


def _moment(at: float) -> float | None:
    return None if math.isinf(at) else at
