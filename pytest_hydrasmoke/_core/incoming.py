"""What comes of a chat turn: bytes in, events out that know their text; no I/O and no clock.

Its memory does not grow with the stream, unless all of its text is to be kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from operator import length_hint

from pytest_hydrasmoke._base.errors import ChatError
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.chat import MOST_TEXT
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._runtimes.meaning import Meaning
from pytest_hydrasmoke._runtimes.read import DONE, Reader
from pytest_hydrasmoke._sse.decoder import ChatEvent, SseDecoder, SseLimitError

from .policy import EndRule
from .times import Times
from .turn_end import BROKEN_JSON, NOT_MIXED, OTHER_TURN, TurnEnd

LOOKED_AT = 20
"""How many of a turn's first events are recorded as forms; its terminal ones are too."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How events are understood: a hook's result first, then the runtimes of `_runtimes`."""

    chat_text: Callable[[ChatEvent], str | None] | None = None
    chat_end: Callable[[ChatEvent], bool | None] | None = None
    quoted: bool = True
    """Whether an error may quote the last event."""

    def reader(self) -> Reader:
        """Return a reader of one stream."""
        return Reader() if self.chat_text is None and self.chat_end is None else _Hooked(self)


class _Hooked(Reader):
    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self._chat_text, self._chat_end = reading.chat_text, reading.chat_end

    def read(self, event: ChatEvent) -> Meaning:
        known = super().read(event)
        text = self._chat_text(event) if self._chat_text else None
        end = self._chat_end(event) if self._chat_end else None
        # An event in which a hook finds a text, even an empty one, or an end, is not an error.
        understood = text is not None or end is True
        return known._replace(
            text=known.text if text is None else text,
            end=known.end if end is None else end,
            of_message=known.of_message and end is None,
            done=known.done and end is None,
            whole=known.whole if text is None else "",
            error=None if understood else known.error,
            loose=known.loose and not understood,
            broken=known.broken and not understood,
        )

    def speaking(self, events: Collection[ChatEvent]) -> int:
        return 0


class Incoming:
    """A turn's stream, as far as it has come.

    Without `content`, nothing but the turn's course and its times is known of it.
    """

    def __init__(
        self, reading: Reading, end: EndRule = "auto", content: Content | None = None
    ) -> None:
        self.reading = reading
        self.end = TurnEnd(end)
        self.content = content
        self.decoder = SseDecoder()
        self._reader = reading.reader()
        self._waiting: deque[ChatEvent] = deque()
        self.unread: Iterator[ChatEvent] = iter(())
        """Events that have arrived and only add text that is not kept: they need not be read."""
        self._arrived = 0
        """How many events came, without those that are never handed out."""
        self.fault: ChatError | None = None
        """The agent's error, or an event that can't be read: no event after it is returned."""
        self.limit: SseLimitError | None = None
        """The limit that the stream has broken, after all events before it."""
        self.last: ChatEvent | None = None
        """The last event returned."""
        self.times = Times()
        self._texts: list[str] = []
        self.room: float = MOST_TEXT
        """About how many more characters of the reply are kept."""
        self.unlooked: list[ChatEvent] = []
        """Events whose form is to be recorded."""

    @property
    def read(self) -> int:
        """How many events its reader was given."""
        return self._arrived - len(self._waiting) - length_hint(self.unread)

    @property
    def reply(self) -> str:
        """What the agent has said, as far as it is kept."""
        return "".join(self._texts)

    @property
    def duration(self) -> float:
        """Seconds from the message to the last event returned."""
        return 0.0 if self.last is None else self.last.at

    def feed(self, chunk: bytes, at: float = 0.0) -> None:
        """Decode a chunk that arrived `at` seconds after the request."""
        self.times.heard = at
        try:
            events = self.decoder.feed(chunk, at)
        except SseLimitError as error:
            # What came before the limit was broken is returned first.
            events, self.limit = error.events, error
        if not events:
            return
        self._arrived += len(events)
        self.times.arrived(at)
        self._waiting.extend(self.unread)
        if not self._waiting and self._speaking(events) == len(events):
            self._hand_out(events)
        else:
            self._waiting.extend(events)

    def take_last_done(self, at: float) -> bool:
        """Take a whole line `data: [DONE]` at the stream's end; return whether there was one.

        The standard drops an event without its empty line. This one says all that it can say.
        """
        is_done = self.decoder.unended == DONE
        if is_done:
            self.feed(b"\n\n", at)
        return is_done

    def take(self) -> ChatEvent | None:
        """Return the next event that has arrived, else None."""
        event = next(self.unread, None)
        if event is not None or not self._waiting:
            return event
        if count := self._speaking(self._waiting):
            self._hand_out([self._waiting.popleft() for _ in range(count)])
            return next(self.unread)
        return self._read(self._waiting.popleft())

    def _speaking(self, events: Collection[ChatEvent]) -> int:
        """Return how many events only add text, if that is not kept and takes no end back."""
        if self.content is not None or self.end.may_be_over:
            return 0
        return self._reader.speaking(events)

    def _hand_out(self, events: list[ChatEvent]) -> None:
        """Return events unread."""
        text_of = self._reader.text_of
        for event in events:
            event._reads = text_of  # pyright: ignore[reportPrivateUsage]
        self.last, self.unread = events[-1], iter(events)

    def _read(self, event: ChatEvent) -> ChatEvent:
        known = self._take_in(event, self._reader.read(event))
        event._reads = known.text  # pyright: ignore[reportPrivateUsage]
        self.last = event
        return event

    def _take_in(self, event: ChatEvent, known: Meaning) -> Meaning:
        """Apply an event to what is known of the turn, and return what it means in it."""
        times = self.times
        if self.end.is_broken_by(known):
            self.fault = ChatError(BROKEN_JSON, expected="a whole JSON object")
            known = known._replace(text="")
        elif self.end.is_passed_by(known):
            self.fault = ChatError(
                OTHER_TURN, expected=NOT_MIXED, next_step="tell who runs the router, or the gateway"
            )
            known = known._replace(text="")
        self.end.saw(known)
        if known.whole and not known.text and times.first_text is None:
            known = known._replace(text=known.whole)
        if known.error is not None:
            words = safe_line(known.error) or "(without a message)"
            self.fault = ChatError(f"the agent reported an error: {words}")
        if self.fault is not None:
            self._arrived -= len(self._waiting)
            self._waiting.clear()
        if self.last is None:
            times.first_event = event.at
        if known.text and times.first_text is None:
            times.first_text = event.at
        if self.content is not None:
            self._keep(self.content, event, known)
        return known

    def _keep(self, content: Content, event: ChatEvent, known: Meaning) -> None:
        times, text = self.times, known.text
        content.add(known, event.at)
        if text and self.room > 0:
            self._texts.append(text)
            self.room -= len(text)
        times.count(event.at, says=bool(text))
        if times.events <= LOOKED_AT or known.end:
            self.unlooked.append(event)

    def drop(self) -> None:
        """Return no further event."""
        self._arrived = self.read
        self._waiting.clear()
        self.unread = iter(())
        self.fault = self.limit = None
