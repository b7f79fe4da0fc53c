"""One chat turn under way: from the message to the end of the agent's stream.

Events soon after the terminal one are read too, since an agent may send its usage only when its
stream has run to the end.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NoReturn

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import plain_id
from pytest_hydrasmoke._base.errors import (
    ChatError,
    ChatTimeoutError,
    HydraSmokeError,
    TransportError,
    hide_own_frames,
)
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.chat import MOST_CALLS, TurnBegan, TurnOver
from pytest_hydrasmoke._journal.events import MOST_WORD, Doing
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._sse.decoder import ChatEvent
from pytest_hydrasmoke._transport.protocol import Reply, Stream

from .account import count_before, open_account
from .incoming import Incoming
from .one_turn import free, is_under_way, reserve
from .policy import Policy
from .reading import Reading
from .record import InstanceRecord
from .reread import KeptBytes
from .signs import IDLE_LIMIT, IF_LATE, SILENT, may_run, not_taken
from .told_turn import remarks, told
from .turn_account import UNCOUNTED, Count, TurnAccount
from .turn_end import AFTER_END, Ending, EndRule

__tracebackhide__ = hide_own_frames

AGENTS_LOG = "see the agent's log of this turn"


class OpenTurn:
    """A turn under way: call `open`, then `next` until it returns None, and `close` in any case.

    It tells its instance's record how it goes; outside of a run, that record writes nothing. Its
    LLM events are counted by `counting`, if that is given.
    """

    recorded = False
    refusal: Reply | None = None
    """An answer that was not a stream."""
    ending: Ending = "left"
    over_at: float | None = None
    """When the stream ran to its end, on the IO's clock."""
    ended = 0.0
    """When it was over: then, or when its reader left it."""
    awaited = 0.0
    """Seconds that the reader waited before the first event came."""
    number = 0
    """Among the turns of this process on its instance, from 1; 0 before it begins."""
    at = 0.0
    """When its request was sent."""
    test: str | None = None
    run: int | None = None
    taken = False
    """Whether its message was accepted."""
    error: str | None = None

    def __init__(
        self,
        calls: Calls,
        record: InstanceRecord,
        message: str,
        *,
        timeout: float,
        end: EndRule,
        reading: Reading,
        content: Content | None = None,
        counting: Policy | None = None,
        first: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        assert record.id is not None
        self._calls = calls
        self._io, self.link = calls.io, calls.io.link
        self._id = record.id
        self._plain = plain_id(record.id)
        self._name = record.key or self._plain
        """The instance's, as the processes of the run tell each other of its turns."""
        self.record = record
        self.message = message
        self._timeout = timeout
        self.reading = reading
        self.kept = KeptBytes()
        self._counting = counting
        self._first = first
        """What is to be done before it begins."""
        self.came = Incoming(reading, end, content)
        self.take = self.came.take
        """Returns the next event that has arrived, else None."""
        self.account = TurnAccount(UNCOUNTED)
        """What bounds its LLM events, once it has begun."""
        self._of_all = 0
        """Its number among the turns of all processes on its instance."""
        self._calling: str | None = None
        """The tool that it has told to be called by the agent now."""
        self._called = 0
        """How many it has told."""
        self._runs = True
        """Whether the agent may have processed its message."""
        self._stream: Stream | None = None
        self._began = self._heard_at = self._deadline = 0.0

    async def open(self) -> None:
        """Send the message; raises `ChatBusyError`, `ChatTimeoutError`, or what the call raises."""
        if self._first is not None:
            await self._first()
        try:
            reserve(self._plain, self)
            await self._begin()
            await self._send()
        except BaseException:
            # The caller closes only a turn that it could open.
            await self.close()
            raise

    async def _begin(self) -> None:
        record, run = self.record, self.record.run_turns
        record.permit()
        run.check_free(self._name, self._io.now())
        counted: Count | None = None
        if self._counting is not None:
            counted = await count_before(self._calls, record, self._counting)
            record.permit()  # The wait may have been long.
        number = self._of_all = run.on(self._name).number + 1
        before = UNCOUNTED if counted is None else replace(counted, number=number)
        self.account = open_account(record, before)
        self.at = self._io.now()
        # What is said between tests is in no test's account.
        alone = run.stage.is_between
        if not alone:
            self.test, self.run = run.stage.test or None, run.stage.repeat
        began = TurnBegan(
            *(record.chats + 1, self.message, self.test, self.run),
            before=before.count if before.error is None else None,
            sure=before.doubt is None or before.doubt.counts,
            by=run.process,
            spec=record.spec_name,
        )
        run.begin(self._name, began, self.at)
        self.number = began.number
        record.open_turn = self
        record.note(began, self.at)
        record.note(Doing("turn", self.at + self._timeout), self.at)
        if not alone:
            run.stage.asks(self)
        self.account.recorded = self.recorded

    async def _send(self) -> None:
        self._began = self._io.now()
        self._deadline = self._began + self._timeout
        try:
            self._stream, self._began = await self._calls.chat(
                self._id, self.message, deadline=self._deadline
            )
        except HydraSmokeError as error:
            self.refusal = error.answer if isinstance(error.answer, Reply) else None
            if isinstance(error, TransportError):
                self.ending = "stalled" if error.late else "cut"
            self._runs = may_run(error)
            late = not_taken(error, self._timeout)
            if late is None:
                self._fails(error)
                raise
        else:
            self.awaited, self._heard_at = self._io.now() - self._began, self._began
            self.taken, self.at = True, self._began
            self.account.uncounted = self._calls.uncounted(self._id)
            return
        self.fail(late)

    def records(self) -> None:
        """Keep all of the stream, before any of it comes."""
        self.recorded = True
        self.kept.room = self.came.most_text = math.inf

    async def next(self) -> ChatEvent | None:
        """Return the next event, None at the turn's end; raises `ChatError`."""
        came = self.came
        while (event := self.take()) is None:
            if came.content is not None:
                self._tell(came.content)
            if came.error is not None:
                self.fail(ChatError(f"the agent reported an error: {came.error}"))
            if came.limit is not None:
                self.fail(ChatError(f"{came.limit}: the turn was broken off"))
            if self.over_at is not None:
                return None
            await self._receive()
        return event

    async def close(self) -> None:
        """Release the stream; harmless if done before."""
        try:
            stream, self._stream = self._stream, None
            self.came.drop()
            if stream is not None:
                await stream.close()
        finally:
            try:
                if is_under_way(self._plain, self):
                    self._conclude()
            finally:
                free(self._plain, self)

    async def _receive(self) -> None:
        if self._stream is None:
            raise ChatError(
                "the stream of this turn is not open",
                next_step="read it inside its own `with` block, or `async with`",
            )
        io, came, deadline = self._io, self.came, self._deadline
        if came.end.complete:
            deadline = min(deadline, self._began + came.last_at + AFTER_END)
        fault: TransportError | None = None
        chunk, since = b"", None if came.begun else io.now()
        try:
            chunk = await self._stream.read(deadline)
        except TransportError as error:
            fault = error
        now = io.now()
        if since is not None:
            self.awaited += now - since
        if fault is None and chunk and now < self._deadline:
            self._heard_at, at = now, now - self._began
            came.feed(chunk, at)
            self.kept.add(at, chunk)
        elif came.end.complete:
            # The turn is complete: what happened to the connection afterwards does not matter.
            self.over_at, self.ending = now, "closed"
        elif now >= self._deadline or (fault is not None and fault.late):
            self.ending = "stalled"
            words = f"the turn did not end within {self._timeout:g} s"
            self.fail(ChatTimeoutError(words, next_step=IF_LATE))
        elif fault is not None:
            self.ending = "cut"
            where = " in the middle of an event" if came.decoder.pending else ""
            self._broken_off(f"the stream was cut{where}", f": {fault.message}")
        else:
            self._end_without_terminal_event()

    def _end_without_terminal_event(self) -> None:
        self.ending, known = "closed", self.record.run_turns.on(self._name).end_seen
        if (cut := self.came.stream_ended(end_is_known=known)) is not None:
            step = f"{AGENTS_LOG}; {cut.advice}" if cut.advice else None
            self._broken_off(cut.what, expected=cut.expected, next_step=step)
        self.over_at = self._io.now()

    def _broken_off(
        self,
        what: str,
        why: str = "",
        *,
        expected: str | None = None,
        next_step: str | None = None,
    ) -> NoReturn:
        """Fail because the stream ended too early; record the silence before its end."""
        silence = self._io.now() - self._heard_at
        if silence >= SILENT:
            what += f" after {silence:.1f} s of silence"
            if self.record.run_turns.cut_by_a_limit(silence):
                next_step = IDLE_LIMIT + (next_step or AGENTS_LOG)
        self.fail(ChatError(what + why, expected=expected, next_step=next_step))

    def fail(self, error: ChatError) -> NoReturn:
        """Raise an error of this turn, with what is known of the turn."""
        self._fails(error)
        raise error

    def _fails(self, error: HydraSmokeError) -> None:
        now, last = self._io.now(), self.came.last
        shown = "an event" if last else "no event yet"
        if last and self.reading.quoted:
            shown = safe_line(f"event {last.event!r} {last.data!r}")
        error.add_context(
            phase="first_event" if last is None else "turn",
            seconds=now - self._began,
            last=shown,
            instance=self._id,
            next_step=AGENTS_LOG,
            trace=self.link.traced,
        )
        self.error = error.message
        self.record.fails(error, type(error).__name__, now)

    def _tell(self, content: Content) -> None:
        """Tell of the events since the last time."""
        record, unlooked = self.record, self.came.unlooked
        for event in unlooked:
            record.sightings.saw_event(event)
        unlooked.clear()
        # What is written must not grow with each event of a chat.
        calling = content.calling if self._called < MOST_CALLS else None
        if calling != self._calling:
            self._calling = calling
            self._called += calling is not None
            tool = calling and (calling[:MOST_WORD] if self.reading.quoted else "a tool")
            record.note(Doing("turn", self._deadline, tool), self._io.now())

    def _conclude(self) -> None:
        """Tell how it went, before another turn may begin."""
        record, came = self.record, self.came
        self.ended = self._io.now() if self.over_at is None else self.over_at
        if not self.number:
            return
        over = TurnOver(self._of_all, self._how, came.end.complete, self.account.uncounted is None)
        record.run_turns.note(self._name, over, self.ended)
        self.account.unended = self.over_at is not None and not came.end.complete
        self.account.left = self._how == "left"
        if came.content is not None:
            self._tell(came.content)
            self._tell_all(came.content)
        record.note(Doing(None), self.ended)

    def _tell_all(self, content: Content) -> None:
        record, came = self.record, self.came
        if came.first_event_after is not None:
            record.took("first_event", self.at, came.first_event_after)
            record.took("turn", self.at, came.duration)
        turn = told(self, content)
        if record.open_turn is self:  # Else it was told at the run's end.
            record.open_turn = None
            record.note(turn, self.at)
        for words, brief in remarks(turn, unended=self.account.unended):
            record.add_remark(words, brief)

    @property
    def _how(self) -> str:
        """How it ended, for those who wait for its LLM events."""
        if not self._runs:
            return "refused"
        if self.error is not None:
            return "failed"
        return "left" if self.over_at is None else "ended"
