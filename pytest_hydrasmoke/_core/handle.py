"""What can be done with one instance, written once for its sync and its async face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import InstanceStatus, LlmEvents
from pytest_hydrasmoke._base.errors import ChatError, HydraSmokeError, hide_own_frames
from pytest_hydrasmoke._runtimes.frames import Meaning
from pytest_hydrasmoke._sse.decoder import ChatEvent

from .account import open_account, whole
from .arguments import seconds_of, text_of, whole_of
from .chat import HELD, Kept, Reading
from .deletion import delete, keep
from .expected import Expected
from .lifecycle import Policy, phase, status_of, until_ready, wait
from .llm_events import Usage
from .moments import Failure, TurnStory
from .record import InstanceRecord
from .traced_turn import TracedTurn

__tracebackhide__ = hide_own_frames


LOOKED_AT = 20
"""How many of a turn's events tell what its runtime's frames look like; so does its last one."""


@dataclass(frozen=True, slots=True)
class TurnResult:
    """A turn that is over."""

    message: str
    text: str
    events: tuple[ChatEvent, ...]
    first_event_after: float
    duration: float
    complete: bool
    index: int
    """Which of the instance's turns it was, from 0."""


class InstanceTurn(TracedTurn):
    """A turn that counts the LLM events before it, and tells the record how it went."""

    def __init__(
        self,
        calls: Calls,
        record: InstanceRecord,
        message: str,
        *,
        timeout: float,
        baseline_timeout: float,
        settle: float,
        end_required: bool,
        reading: Reading,
    ) -> None:
        assert record.id is not None
        super().__init__(
            calls,
            record.id,
            message,
            log=record.log,
            timeout=timeout,
            end_required=end_required,
            reading=reading,
        )
        self._record = record
        self._baseline_timeout = baseline_timeout
        self._settle = settle
        self.index = -1
        """Which of the instance's turns it is, from 0."""
        self._story: TurnStory | None = None

    async def open(self) -> None:
        self._record.permit()
        await super().open()

    async def _begin(self) -> None:
        record = self._record
        baseline = await open_account(
            self._calls, record, timeout=self._baseline_timeout, settle=self._settle
        )
        # A wait may have been long.
        record.permit()
        record.baselines.append(replace(baseline, number=record.log.history.number + 1))
        self.index = len(record.baselines) - 1
        now = self._calls.io.now()
        self._story = TurnStory(self._message, now)
        record.turns.append(self._story)
        record.begins("turn", now, now + self._timeout)
        sure = baseline.error is None and baseline.doubt is None
        await self._send(baseline.count if sure else None)
        self._story.at = self._began

    def take(self) -> tuple[ChatEvent, Meaning] | None:
        step = super().take()
        if step is not None and self._story is not None:
            self._story.saw(step[0].at, step[1].text)
            if self._story.events <= LOOKED_AT or step[1].end:
                self._record.sightings.saw_event(step[0])
        return step

    def _add_context(self, error: HydraSmokeError) -> None:
        super()._add_context(error)
        assert self._story is not None
        self._story.error = error.message
        brief = type(error).__name__
        self._record.fails(Failure(self._calls.io.now(), str(error), brief, error.phase), error)

    async def close(self) -> None:
        await super().close()
        story, self._story = self._story, None
        if story is None:
            return
        story.complete = self.complete
        if self.first_event_after is not None:
            story.seconds = self.duration
            self._record.took("first_event", story.at, self.first_event_after)
            self._record.took("turn", story.at, self.duration)
        self._record.rests()
        if self.over and not self.complete:
            self._record.add_remark("a chat's stream ended without a terminal event")


class Handle:
    """An instance's core, over whatever IO its calls have."""

    def __init__(
        self, calls: Calls, record: InstanceRecord, policy: Policy, reading: Reading
    ) -> None:
        self._calls = calls
        self._policy = policy
        self._reading = reading
        self.record = record

    @property
    def id(self) -> str:
        assert self.record.id is not None
        return self.record.id

    async def status(self) -> InstanceStatus:
        return await status_of(self._calls, self.record, self.id)

    async def wait(
        self,
        ready: Callable[[InstanceStatus], bool],
        error: Callable[[InstanceStatus], bool] | None,
        timeout: float | None,
    ) -> InstanceStatus:
        io = self._calls.io
        limit = seconds_of("timeout", timeout, self._policy.ready_timeout)
        # A test's own wait is no part of the time that provisioning took.
        with phase("ready", io, self.record, timed=False):
            return await wait(
                self._calls, self.record, ready, error=error, start=io.now(), timeout=limit
            )

    async def until_ready(self) -> None:
        io = self._calls.io
        deadline = io.now() + self._policy.ready_timeout
        with phase("ready", io, self.record, deadline=deadline):
            await until_ready(self._calls, self.record, self._policy, io.now())

    def turn(self, message: str, timeout: float | None) -> InstanceTurn:
        """Make a turn that is yet to be opened."""
        return InstanceTurn(
            self._calls,
            self.record,
            text_of("message", message),
            timeout=seconds_of("timeout", timeout, self._policy.chat_timeout),
            baseline_timeout=self._policy.llm_events_timeout,
            settle=self._policy.usage_settle,
            end_required=self._policy.chat_end == "required",
            reading=self._reading,
        )

    async def chat(self, message: str, timeout: float | None) -> TurnResult:
        turn = self.turn(message, timeout)
        kept = Kept()
        try:
            await turn.open()
            while (step := await turn.next()) is not None:
                if not kept.add(step[0], step[1].text):
                    turn.fail(
                        ChatError(
                            f"the reply takes more than {HELD >> 20} MiB of memory: "
                            "the turn was broken off",
                            next_step="read it with stream_chat, which keeps nothing",
                        )
                    )
        except ChatError as error:
            error.events = tuple(kept.events)
            raise
        finally:
            await turn.close()
        return TurnResult(
            message,
            kept.text,
            tuple(kept.events),
            turn.first_event_after or 0.0,
            turn.duration,
            turn.complete,
            turn.index,
        )

    async def llm_events(self, window_seconds: int) -> LlmEvents:
        return await self._calls.llm_events(self.id, whole_of("window_seconds", window_seconds))

    async def expect_recent(self, expected: Expected, timeout: float | None) -> LlmEvents:
        return await self._usage(timeout).of_window(expected)

    async def expect_of_turn(
        self, expected: Expected, index: int, timeout: float | None
    ) -> LlmEvents:
        return await self._usage(timeout).of_turn(expected, index)

    def _usage(self, timeout: float | None) -> Usage:
        limit = seconds_of("timeout", timeout, self._policy.llm_events_timeout)
        return Usage(self._calls, self.record, limit, whole(self._policy.usage_settle))

    async def delete(self) -> None:
        await delete(self._calls, self.record, self._policy)

    async def leave(self, *, failed: bool) -> None:
        """Delete at the end of a `with`, unless `keep` says to leave it for a look."""
        self.record.failed |= failed
        if not keep(self.record, self._policy):
            await self.delete()
