"""One chat turn: from the message to the end of the agent's stream.

Events soon after the terminal one are read too, since an agent may send its usage only when its
stream has run to the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NoReturn

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.errors import (
    ChatError,
    ChatTimeoutError,
    HydraSmokeError,
    TransportError,
    hide_own_frames,
)
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._runtimes.meaning import Meaning
from pytest_hydrasmoke._sse.decoder import ChatEvent, SseDecoder, SseLimitError
from pytest_hydrasmoke._transport.protocol import Stream

from .not_taken import IF_LATE, not_taken
from .observer import TurnObserver
from .one_turn import free, is_under_way, reserve
from .pauses import IDLE_LIMIT, SILENT
from .reading import Reading
from .turn_end import EndRule, TurnEnd

if TYPE_CHECKING:
    from .tape import Tape

__tracebackhide__ = hide_own_frames

Ending = Literal["closed", "cut", "stalled", "left"]
"""How a stream ended: by itself, lost, at the turn's deadline, or left by its reader."""
AGENTS_LOG = "see the agent's log of this turn"
AFTER_END = 2.0
"""Seconds without an event after the terminal one until the turn counts as over."""


class Turn:
    """A turn under way: call `open`, then `next` until it returns None, and `close` in any case."""

    def __init__(
        self,
        calls: Calls,
        instance_id: str,
        message: str,
        *,
        timeout: float,
        end: EndRule,
        reading: Reading,
        text_wanted: bool = True,
        content: Content | None = None,
        observer: TurnObserver | None = None,
    ) -> None:
        self._observer = observer or TurnObserver()
        self._calls = calls
        self._id = instance_id
        self._message = message
        self._timeout = timeout
        self._end = TurnEnd(end)
        self._reader = reading.reader()
        self._text_wanted = text_wanted
        self._quoted = reading.quoted
        self.content = content
        self._decoder = SseDecoder()
        self._waiting: Iterator[ChatEvent] = iter(())
        """Events that have arrived."""
        self.unread: Iterator[ChatEvent] = iter(())
        """Those that only add text to the reply: they need not be read."""
        self._stream: Stream | None = None
        self._tape: Tape | None = None
        self._began = self._last_at = 0.0
        self._deadline = 0.0
        self.over = False
        self._agents_error: str | None = None
        self._limit: SseLimitError | None = None
        self._last_event: ChatEvent | None = None
        self.ending: Ending = "left"
        self.awaited = 0.0
        """Seconds that the reader waited before the first event came."""
        self._heard_at = 0.0
        self.first_event_after: float | None = None
        self.first_text_after: float | None = None
        self.max_gap = 0.0
        """Seconds of the longest silence between two events."""

    @property
    def complete(self) -> bool:
        """Whether a terminal event came, or a finish reason and then the end of the stream."""
        return self._end.complete

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped, in the runtime's own word."""
        return self._end.finish_reason

    @property
    def runtimes(self) -> Sequence[str]:
        """The runtimes of its events, of those that always send a terminal event."""
        return self._end.runtimes

    @property
    def duration(self) -> float:
        """Seconds from the message to the last event returned."""
        return 0.0 if self._last_event is None else self._last_event.at

    async def open(self) -> None:
        """Send the message; raises `ChatBusyError`, `ChatTimeoutError`, or what the call raises."""
        try:
            reserve(self._id, self)
            await self._observer.begins()
            await self._send()
        except BaseException:
            # The caller closes only a turn that it could open.
            await self.close()
            raise

    async def _send(self) -> None:
        self._began = self._calls.io.now()
        self._deadline = self._began + self._timeout
        self._observer.sends()
        self._tape = self._observer.tape
        try:
            self._stream, self._began = await self._calls.chat(
                self._id, self._message, deadline=self._deadline
            )
        except HydraSmokeError as error:
            self._observer.refused(error)
            late = not_taken(error, self._timeout)
            if late is None:
                self._add_context(error)
                raise
        else:
            self.awaited, self._heard_at = self._calls.io.now() - self._began, self._began
            self._observer.sent(self._began)
            if (words := self._calls.uncounted(self._id)) is not None:
                self._observer.uncounted(words)
            return
        self.fail(late)

    def take(self) -> ChatEvent | None:
        """Return the next event that has arrived, else None; raises `ChatError`."""
        event = next(self._waiting, None)
        if event is None:
            if self._agents_error is not None:
                self.fail(ChatError(f"the agent reported an error: {self._agents_error}"))
            return next(self.unread, None)
        known = self._take_in(event, self._reader.read(event))
        event._reads = known.text  # pyright: ignore[reportPrivateUsage]
        self._last_event = event
        if self._tape is not None:
            self._tape.text.append(known.text)
        self._observer.saw(event, known)
        return event

    def _take_in(self, event: ChatEvent, known: Meaning) -> Meaning:
        """Apply an event to the turn's state, and return what it means in this turn."""
        self._end.saw(known)
        if known.whole and not known.text and self.first_text_after is None:
            known = known._replace(text=known.whole)
        if known.error is not None:
            self._agents_error = safe_line(known.error) or "(without a message)"
            self._waiting = iter(())  # Nothing after it is returned.
        if self._last_event is None:
            self.first_event_after = event.at
        if known.text and self.first_text_after is None:
            self.first_text_after = event.at
        if self.content is not None:
            self.content.add(known, event.at)
        return known

    async def next(self) -> ChatEvent | None:
        """Return the next event, None at the turn's end; raises `ChatError`."""
        while (event := self.take()) is None:
            if self._limit is not None:
                self.fail(ChatError(f"{self._limit}: the turn was broken off"))
            if self.over:
                self._observer.ended()
                return None
            await self._receive()
        return event

    async def close(self) -> None:
        """Release the stream; harmless if done before."""
        try:
            stream, self._stream = self._stream, None
            self._waiting = self.unread = iter(())
            self._agents_error = self._limit = None
            if stream is not None:
                await stream.close()
        finally:
            self._release()

    def _release(self) -> None:
        try:
            if is_under_way(self._id, self):
                self._observer.closed(self)
        finally:
            free(self._id, self)

    async def _receive(self) -> None:
        if self._stream is None:
            raise ChatError(
                "the stream of this turn is not open",
                next_step="read it inside its own `with` block, or `async with`",
            )
        io, deadline = self._calls.io, self._deadline
        if self.complete:
            deadline = min(deadline, self._last_at + AFTER_END)
        fault: TransportError | None = None
        chunk, since = b"", io.now()
        try:
            chunk = await self._stream.read(deadline)
        except TransportError as error:
            fault = error
        now = io.now()
        if self._decoder.total_events == 0:
            self.awaited += now - since
        if fault is None and chunk and now < self._deadline:
            self._heard_at, at = now, now - self._began
            self._decode(chunk, at)
            if (tape := self._tape) is not None:
                tape.times.append(at)
                tape.pieces.append(chunk)
        elif self.complete:
            # The turn is complete: what happened to the connection afterwards does not matter.
            self.over, self.ending = True, "closed"
        elif now >= self._deadline or (fault is not None and fault.late):
            self.ending = "stalled"
            words = f"the turn did not end within {self._timeout:g} s"
            self.fail(ChatTimeoutError(words, next_step=IF_LATE))
        elif fault is not None:
            self.ending = "cut"
            self._broken_off(f"the stream was cut{self._mid_event()}", f": {fault.message}")
        else:
            self._end_without_terminal_event()

    def _decode(self, chunk: bytes, at: float) -> None:
        try:
            events = self._decoder.feed(chunk, at)
        except SseLimitError as error:
            # What came before the limit was broken is returned first.
            events, self._limit = error.events, error
        if events:
            # Events of one chunk arrive together.
            if self._decoder.total_events > len(events):
                self.max_gap = max(self.max_gap, self._heard_at - self._last_at)
            self._last_at = self._heard_at
            if self._is_settled and self._reader.only_speaks(events):
                text_of = self._reader.text_of
                for event in events:
                    event._reads = text_of  # pyright: ignore[reportPrivateUsage]
                self._last_event, self.unread = events[-1], iter(events)
            else:
                self._waiting = iter(events)

    @property
    def _is_settled(self) -> bool:
        """Whether more text would change nothing: nobody wants it, and no end is to be undone."""
        kept = self._text_wanted or self.content is not None or self._tape is not None
        return not (kept or self._end.complete or self._end.finish_reason)

    def _end_without_terminal_event(self) -> None:
        self.ending = "closed"
        if self._last_event is None:
            self._broken_off("the stream ended without a single event")
        why = self._end.stream_ended(end_is_known=self._observer.end_is_known)
        if self._decoder.pending and not self.complete:
            # An agent that says no more ends its last event; what is left was cut.
            self._broken_off(
                "the reply was cut: its stream ended in the middle of an event",
                expected="a blank line after the last event",
            )
        if why is not None:
            self._broken_off(
                "the reply was cut: its stream ended without a terminal event",
                expected=f"an event that ends the turn, {why} (chat_end = {self._end.rule})",
                next_step=f"{AGENTS_LOG}; if its runtime sends no terminal event, set "
                'chat_end = "optional"',
            )
        self.over = True

    def _broken_off(
        self,
        what: str,
        why: str = "",
        *,
        expected: str | None = None,
        next_step: str | None = None,
    ) -> NoReturn:
        """Fail because the stream ended too early; record the silence before its end."""
        silence = self._calls.io.now() - self._heard_at
        if silence >= SILENT:
            what += f" after {silence:.1f} s of silence"
            if self._observer.cut_by_a_limit(silence):
                next_step = IDLE_LIMIT + (next_step or AGENTS_LOG)
        self.fail(ChatError(what + why, expected=expected, next_step=next_step))

    def _mid_event(self) -> str:
        return " in the middle of an event" if self._decoder.pending else ""

    def fail(self, error: ChatError) -> NoReturn:
        """Raise an error of this turn, with what is known of the turn."""
        self._add_context(error)
        raise error

    def _add_context(self, error: HydraSmokeError) -> None:
        last = self._last_event
        error.add_context(
            phase="first_event" if last is None else "turn",
            seconds=self._calls.io.now() - self._began,
            last=self._shown(last) if last else "no event yet",
            instance=self._id,
            next_step=AGENTS_LOG,
        )
        self._observer.failed(error)

    def _shown(self, event: ChatEvent) -> str:
        return safe_line(f"event {event.event!r} {event.data!r}" if self._quoted else "an event")
