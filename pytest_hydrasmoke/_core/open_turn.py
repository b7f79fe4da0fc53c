"""One chat turn under way: from the message to the end of the agent's stream.

Events soon after the terminal one are read too, since an agent may send its usage only when its
stream has run to the end.
"""

from __future__ import annotations

import math
from typing import NoReturn

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.errors import (
    ChatError,
    ChatTimeoutError,
    ConfigError,
    HydraSmokeError,
    TransportError,
)
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._sse.decoder import ChatEvent
from pytest_hydrasmoke._transport.protocol import Stream

from .account import UNCOUNTED, TurnAccount
from .chat_target import ChatTarget
from .counting import Counting
from .incoming import Incoming
from .kept import Kept, KeptBytes
from .open_calls import end
from .run_turns import free, is_under_way, reserve
from .settling import FINEST
from .times import IDLE_LIMIT, SILENT
from .turn_end import AFTER_END, AGENTS_LOG, IF_LATE, WAITING, Cut, Outcome, not_taken
from .turn_story import TurnStory


class OpenTurn:
    """A turn under way: call `open`, then `next` until it returns None, and `close` in any case.

    It tells its target how it goes. On an instance of the run its LLM events are counted; in a
    client's own chat they are not.
    """

    def __init__(
        self,
        calls: Calls,
        target: ChatTarget,
        message: str,
        came: Incoming,
        *,
        timeout: float,
        counting: Counting | None = None,
    ) -> None:
        assert target.id is not None
        self._calls = calls
        self._id = target.id
        self.target = target
        self.message = message
        self._timeout = timeout
        self._counting = counting
        self.came = came
        self.kept = KeptBytes()
        self.outcome = Outcome()
        self.story = TurnStory(target, message, came, self.outcome)
        self.account = TurnAccount(UNCOUNTED)
        """What bounds its LLM events, once it has begun."""
        self._stream: Stream | None = None

    @property
    def trace_id(self) -> str:
        return self._calls.io.link.trace_id

    async def open(self) -> None:
        """Send the message; raises `ChatBusyError`, `ChatTimeoutError`, or what the call raises."""
        end(self)
        if self.story.has_begun:
            raise ConfigError(
                "this turn was begun before: a stream is entered once",
                next_step="call stream_chat again for another turn",
            )
        try:
            reserve(self._id, self)
            await self._begin()
            await self._send()
        except BaseException:
            # The caller closes only a turn that it could open.
            await self.close()
            raise

    async def _begin(self) -> None:
        target, run, io = self.target, self.target.run_turns, self._calls.io
        target.sink.permit()
        run.check_free(target.turns_name, io.now())
        before = UNCOUNTED
        if self._counting is not None:
            before = await self._counting.before_turn()
            target.sink.permit()  # The wait may have been long.
        self.account = target.open_account(before)
        self.story.begins(self.account, io.now(), self._timeout)
        if not run.stage.is_between:
            run.stage.asks(self)

    async def _send(self) -> None:
        # What was told before may have taken its time, as on a slow disk.
        outcome, self.story.deadline = self.outcome, self._calls.io.now() + self._timeout
        try:
            self._stream, sent = await self._calls.chat(
                self._id, self.message, deadline=self.story.deadline
            )
        except HydraSmokeError as error:
            outcome.refused(error)
            late = not_taken(error, self._timeout)
            if late is None:
                self._fails(error)
                raise
        else:
            outcome.taken, self.story.at = True, sent
            self.came.times.awaited = self._calls.io.now() - sent
            self.account.uncounted = self._calls.uncounted(self._id)
            return
        self.fail(late)

    def records(self) -> None:
        """Keep all of the stream, before any of it comes."""
        self.account.recorded = True
        self.kept.room = self.came.room = math.inf

    async def next(self) -> ChatEvent | None:
        """Return the next event, None at the turn's end; raises `ChatError`."""
        came, asked = self.came, None
        while (event := came.take()) is None:
            if came.content is not None:
                self.story.goes_on(came.content, self._calls.io.now())
            if came.fault is not None:
                self.fail(came.fault)
            if came.limit is not None:
                self.fail(ChatError(f"{came.limit}: the turn was broken off"))
            if self.outcome.ran_to_its_end:
                return None
            asked = self._calls.io.now() if asked is None else asked
            await self._receive(asked)
        return event

    def reread(self) -> Kept | None:
        """Return what its reader has been given; None where more came than is kept."""
        if self.kept.room < 0:
            return None
        kept = Kept(Content())
        came = Incoming(self.came.reading, self.came.end.rule, kept.content)
        left = self.came.read
        # Where its last line was `[DONE]`, without the empty line after it, that was an event too.
        for at, chunk in (*self.kept.chunks, (self.came.times.heard, b"\n\n")):
            came.feed(chunk, at)
            while left and (event := came.take()) is not None:
                left -= 1
                if not kept.add(event):
                    return None
        return kept

    async def close(self) -> None:
        """Release the stream; harmless if done before."""
        try:
            stream, self._stream = self._stream, None
            self.came.drop()
            if stream is not None:
                await stream.close()
        finally:
            try:
                if is_under_way(self._id, self):
                    if not self.outcome.ran_to_its_end:
                        self.outcome.at = self._calls.io.now()
                    self.story.ends(self.account)
            finally:
                free(self._id, self)

    async def _receive(self, asked: float) -> None:
        """Read on; its reader, who may have been away for long, `asked` for an event then."""
        if self._stream is None:
            raise ChatError(
                "the stream of this turn is not open",
                next_step="read it inside its own `with` block, or `async with`",
            )
        io, end, times, began = self._calls.io, self.came.end, self.came.times, self.story.at
        last, deadline = times.last, self.story.deadline
        until = deadline
        if end.complete:
            # What came while its reader was away waits to be read.
            until = min(deadline, max(began + (last or 0.0) + AFTER_END, asked + WAITING))
        fault: TransportError | None = None
        chunk, since = b"", io.now()
        try:
            chunk = await self._stream.read(until)
        except TransportError as error:
            fault = error
        now = io.now()
        if last is None:
            times.awaited += now - since
        if fault is None and chunk and now < deadline:
            self.came.feed(chunk, now - began)
            self.kept.add(now - began, chunk)
        elif end.complete:
            # The turn is complete: what happened to the connection afterwards does not matter.
            self.outcome.ending, self.outcome.at = "closed", now
            self._ran_to_its_end(asked)
        elif now >= deadline or (fault is not None and fault.late):
            self.outcome.ending = "stalled"
            words = f"the turn did not end within {self._timeout:g} s"
            self.fail(ChatTimeoutError(words, next_step=IF_LATE))
        elif self.came.take_last_done(now - began):
            return  # It may be the turn's end: it is read before the stream's end is judged.
        elif fault is not None:
            self.outcome.ending = "cut"
            where = " in the middle of an event" if self.came.decoder.pending else ""
            self._broken_off(Cut(f"the stream was cut{where}", f": {fault.message}"))
        else:
            self.outcome.ending, self.outcome.at = "closed", now
            self._end_without_terminal_event()
            self._ran_to_its_end(asked)

    def _ran_to_its_end(self, asked: float) -> None:
        self.outcome.late = asked - self.story.at - self.came.times.heard > FINEST
        self.outcome.ran_to_its_end = True

    def _end_without_terminal_event(self) -> None:
        came, known = self.came, self.target.settling.end_seen
        if came.last is None:
            self._broken_off(Cut("the stream ended without a single event"))
        cut = came.end.stream_ended(in_an_event=came.decoder.pending, end_is_known=known)
        if cut is not None:
            self._broken_off(cut)

    def _broken_off(self, cut: Cut) -> NoReturn:
        """Fail because the stream ended too early; record the silence before its end."""
        silence = self._calls.io.now() - self.story.at - self.came.times.heard
        what, step = cut.what, cut.next_step
        if silence >= SILENT:
            what += f" after {silence:.1f} s of silence"
            if self.target.run_turns.cut_by_a_limit(silence):
                step = IDLE_LIMIT + step
        self.fail(ChatError(what + cut.why, expected=cut.expected, next_step=step))

    def fail(self, error: ChatError) -> NoReturn:
        """Raise an error of this turn, with what is known of the turn."""
        self._fails(error)
        raise error

    def _fails(self, error: HydraSmokeError) -> None:
        io, last = self._calls.io, self.came.last
        now, shown = io.now(), "an event" if last else "no event yet"
        if last and self.came.reading.quoted:
            shown = safe_line(f"event {last.event!r} {last.data!r}")
        error.add_context(
            phase="first_event" if last is None else "turn",
            seconds=now - self.story.at,
            last=shown,
            instance=self._id,
            next_step=AGENTS_LOG,
            trace=io.link.traced,
        )
        self.outcome.error = error.message
        self.target.sink.fails(error, type(error).__name__, now)
