"""The meaning of a chat's events, for all code that reads a stream."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._runtimes.meaning import Meaning
from pytest_hydrasmoke._runtimes.read import Reader
from pytest_hydrasmoke._sse.decoder import ChatEvent

__tracebackhide__ = hide_own_frames


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

    def corrected(self, event: ChatEvent, known: Meaning) -> Meaning:
        """Return what an event means, by the hooks if they know it."""
        text = self.chat_text(event) if self.chat_text else None
        end = self.chat_end(event) if self.chat_end else None
        # An event in which a hook finds a text, even an empty one, or an end, is not an error.
        understood = text is not None or end is True
        return known._replace(
            text=known.text if text is None else text,
            end=known.end if end is None else end,
            of_message=known.of_message and end is None,
            whole=known.whole if text is None else "",
            error=None if understood else known.error,
        )


class _Hooked(Reader):
    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self._reading = reading

    def read(self, event: ChatEvent) -> Meaning:
        return self._reading.corrected(event, super().read(event))

    def speaking(self, events: Collection[ChatEvent]) -> int:
        return 0
