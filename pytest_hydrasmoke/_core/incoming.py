"""What comes of a chat turn: bytes in, events out that know their text; no I/O and no clock.

Its memory does not grow with the stream, unless all of its text is to be kept.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Collection, Iterator
from operator import length_hint
from typing import NamedTuple

from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.chat import MOST_ARRIVALS, MOST_TEXT
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._runtimes.meaning import Meaning
from pytest_hydrasmoke._sse.decoder import ChatEvent, SseDecoder, SseLimitError

from .reading import Reading
from .turn_end import EndRule, TurnEnd

__tracebackhide__ = hide_own_frames

MOST_MODELS = 20
"""How many models of a turn are kept."""
LOOKED_AT = 20
"""How many of a turn's first events are recorded as forms; its terminal ones are too."""


class Cut(NamedTuple):
    """How a stream that ended has lost something."""

    what: str
    expected: str | None = None
    advice: str | None = None
    """What to do where the agent's log shows nothing."""


class Incoming:
    """A turn's stream, as far as it has come; times are seconds since the request.

    Without `content`, nothing but the turn's course and its times is known of it.
    """

    def __init__(self, reading: Reading, end: EndRule, content: Content | None = None) -> None:
        self.end = TurnEnd(end)
        self.content = content
        self.decoder = SseDecoder()
        self._reader = reading.reader()
        self._waiting: deque[ChatEvent] = deque()
        self.unread: Iterator[ChatEvent] = iter(())
        """Events that have arrived and only add text that is not kept: they need not be read."""
        self._arrived = 0
        """How many events came, without those that are never handed out."""
        self.error: str | None = None
        """The agent's error: no event after it is returned."""
        self.limit: SseLimitError | None = None
        """The limit that the stream has broken, after all events before it."""
        self.begun = False
        """Whether any event has arrived."""
        self.last: ChatEvent | None = None
        """The last event returned."""
        self.last_at = 0.0
        """When events arrived last."""
        self.first_event_after: float | None = None
        self.first_text_after: float | None = None
        self.max_gap = 0.0
        """Seconds of the longest silence between two events."""
        self.events = 0
        self.arrivals: array[float] = array("d")
        """When events arrived: all of them, or every n-th of a long stream."""
        self._every = 1
        self.models: list[str] = []
        """The models that it named, in their order; of many, the first."""
        self.with_text = 0
        """How many events had text."""
        self.most_text: float = MOST_TEXT
        """About how many characters of the reply are kept."""
        self._texts: list[str] = []
        self._length = 0
        self.unlooked: list[ChatEvent] = []
        """Events whose form is to be recorded."""

    @property
    def text(self) -> str:
        """The reply, as far as it is kept."""
        return "".join(self._texts)

    @property
    def read(self) -> int:
        """How many events its reader was given."""
        return self._arrived - len(self._waiting) - length_hint(self.unread)

    @property
    def duration(self) -> float:
        """Seconds from the message to the last event returned."""
        return 0.0 if self.last is None else self.last.at

    def feed(self, chunk: bytes, at: float) -> None:
        """Decode a chunk that arrived `at` seconds after the request."""
        try:
            events = self.decoder.feed(chunk, at)
        except SseLimitError as error:
            # What came before the limit was broken is returned first.
            events, self.limit = error.events, error
        if not events:
            return
        self._arrived += len(events)
        # Events of one chunk arrive together.
        if self.begun and at - self.last_at > self.max_gap:
            self.max_gap = at - self.last_at
        self.begun, self.last_at = True, at
        self._waiting.extend(self.unread)
        if not self._waiting and self._speaking(events) == len(events):
            self._hand_out(events)
        else:
            self._waiting.extend(events)

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
        if self.content is not None or self.end.complete or self.end.finish_reason is not None:
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
        self.end.saw(known)
        if known.whole and not known.text and self.first_text_after is None:
            known = known._replace(text=known.whole)
        for model in known.models:
            if model not in self.models and len(self.models) < MOST_MODELS:
                self.models.append(model)
        if known.error is not None:
            self.error = safe_line(known.error) or "(without a message)"
            self._arrived -= len(self._waiting)
            self._waiting.clear()
        if self.last is None:
            self.first_event_after = event.at
        if known.text and self.first_text_after is None:
            self.first_text_after = event.at
        if self.content is not None:
            self._keep(self.content, event, known)
        return known

    def _keep(self, content: Content, event: ChatEvent, known: Meaning) -> None:
        content.add(known, event.at)
        if text := known.text:
            self.with_text += 1
            if self._length < self.most_text:
                self._texts.append(text)
                self._length += len(text)
        if self.events % self._every == 0:
            self.arrivals.append(event.at)
            if len(self.arrivals) == 2 * MOST_ARRIVALS:
                del self.arrivals[1::2]
                self._every *= 2
        self.events += 1
        if self.events <= LOOKED_AT or known.end:
            self.unlooked.append(event)

    def stream_ended(self, *, end_is_known: bool) -> Cut | None:
        """Record the stream's end; return what was cut, if anything was.

        `end_is_known`: whether an earlier turn on the instance had a terminal event.
        """
        if self.last is None:
            return Cut("the stream ended without a single event")
        why = self.end.stream_ended(end_is_known=end_is_known)
        if self.decoder.pending and not self.end.complete:
            # An agent that says no more ends its last event; what is left was cut.
            what = "the reply was cut: its stream ended in the middle of an event"
            return Cut(what, "a blank line after the last event")
        if why is None:
            return None
        return Cut(
            "the reply was cut: its stream ended without a terminal event",
            f"an event that ends the turn, {why} (chat_end = {self.end.rule})",
            'if its runtime sends no terminal event, set chat_end = "optional"',
        )

    def drop(self) -> None:
        """Return no further event."""
        self._arrived = self.read
        self._waiting.clear()
        self.unread = iter(())
        self.error = self.limit = None
