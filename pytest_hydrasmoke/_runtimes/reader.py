"""The events of one stream, read at a fraction of the cost.

Most events differ from the one before in a single text. What surrounds it is read once, around a
stand-in; of the events after that, only the text is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple

from pytest_hydrasmoke._sse.decoder import ChatEvent

from .meaning import Meaning, Reasoning, ToolArguments
from .read import read
from .values import whole

_LONGEST = 4096
"""Most characters of data whose surroundings are kept."""
_STAND_IN = "any text"
_decode = json.JSONDecoder().raw_decode


class _Around(NamedTuple):
    """What surrounds the one text of an event: its name, and its data before and after the text."""

    name: str
    head: str
    """The opening quote included."""
    tail: str
    """From the closing quote on."""

    def with_text(self, text: str) -> ChatEvent:
        return ChatEvent(self.name, f"{self.head}{text}{self.tail}")

    def text_in(self, event: ChatEvent) -> str:
        """Return the text of an event with these surroundings; "" for any other event."""
        data = event.data
        if event.event != self.name or not data.startswith(self.head):
            return ""
        text: str
        try:
            text, end = _decode(data, len(self.head) - 1)
        except ValueError:
            return ""
        return text if data[end - 1 :] == self.tail else ""


class _Alike(NamedTuple):
    """Events of which any text in the same place means the same."""

    around: _Around
    means: Callable[[str], Meaning]
    speak: bool
    """Whether it is text of the reply."""


class Reader:
    """Reads the events of a stream, each as `read` does."""

    def __init__(self) -> None:
        self._last: _Around | None = None
        """What surrounded the text that was last read in a whole event."""
        self._alike: _Alike | None = None

    def read(self, event: ChatEvent) -> Meaning:
        """Return what an event means."""
        if (alike := self._alike) is not None and (text := alike.around.text_in(event)):
            return alike.means(whole(text))
        found = read(event)
        text, means = _one_text(found)
        if (around := _around(text, event)) is not None:
            if around == self._last and read(around.with_text(_STAND_IN)) == means(_STAND_IN):
                self._alike = _Alike(around, means, speak=not found.parts)
            self._last = around
        return found

    def text_of(self, event: ChatEvent) -> str:
        """Return the text that an event adds to the reply."""
        return self.read(event).text

    def speaking(self, events: Collection[ChatEvent]) -> int:
        """Return how many events, from the first on, surely add text as those before, no more."""
        if self._alike is None or not self._alike.speak:
            return 0
        name, head, tail = self._alike.around
        start, end = len(head), -len(tail)
        for count, event in enumerate(events):
            data = event.data
            text = data[start:end]
            # Without a quote in it or a backslash at its end, it is one JSON text.
            if (
                not text
                or data[:start] != head
                or data[end:] != tail
                or event.event != name
                or '"' in text
                or text[-1] == "\\"
            ):
                return count
        return len(events)


def _one_text(found: Meaning) -> tuple[str, Callable[[str], Meaning]]:
    """Return a text of a meaning, and what makes that meaning of it if there is nothing else."""
    # What is the same in all of them, as an event's surroundings say it.
    meaning = partial(Meaning, models=found.models, runtime=found.runtime)
    match found.parts:
        case (Reasoning(text, repeats),):
            return text, lambda it: meaning(parts=(Reasoning(it, repeats),))
        case (ToolArguments(key, piece),):
            return piece, lambda it: meaning(parts=(ToolArguments(key, it),))
        case _:
            return found.text, meaning


def _around(text: str, event: ChatEvent) -> _Around | None:
    """Return what surrounds a text in an event, if it is found there as it is."""
    data = event.data
    if not text or len(data) > _LONGEST:
        return None
    start = data.rfind(f'"{text}"') + 1
    return _Around(event.event, data[:start], data[start + len(text) :]) if start else None
