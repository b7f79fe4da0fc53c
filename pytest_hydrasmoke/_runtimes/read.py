"""What the events of a chat's stream mean, whichever runtime has sent them.

One event in, one meaning out: no settings, no memory of earlier events. A frame is identified by
its words and its shape, never by a guess at its sender; what no runtime's module knows is read by
the most common words.

A `Reader` reads the events of one stream at a fraction of the cost. Most events differ from the one
before in a single text. What surrounds it is read once, around a stand-in; of the events after
that, only the text is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import NamedTuple

from pytest_hydrasmoke._sse.decoder import ChatEvent

from . import agents, anthropic, generic, openai, ui
from .frame import Frame, frame_of, whole
from .meaning import Meaning, Reasoning, ToolArguments, is_failure

_Reads = Callable[[str, Frame], Meaning | None]
_RUNTIMES: Mapping[str | None, tuple[Collection[str], _Reads]] = {
    "AG-UI": (ui.AG_UI, ui.read_ag_ui),
    "AI SDK": (ui.AI_SDK, ui.read_ai_sdk),
    "Anthropic": (anthropic.TYPES, anthropic.read),
    "Goose": (agents.GOOSE, agents.read_goose),
    None: ({"finish"}, ui.read_finish),
}
"""The types of each runtime's objects, and what reads them."""
_BY_TYPE: Mapping[str, tuple[str | None, _Reads]] = {
    kind: (runtime, reads) for runtime, (kinds, reads) in _RUNTIMES.items() for kind in kinds
}
DONE = "[DONE]"
"""The data of the event that ends a stream of OpenAI's form."""
_HERMES = "Hermes"
_LONGEST = 4096
"""Most characters of data whose surroundings are kept."""
_STAND_INS = ("any text", "another text")
"""Two, as an agent may say one of them."""
_BROKEN = re.compile(r'\s*\{"')
_IN_QUOTES = re.compile(r'[^"\\\0-\x1f]*(?:\\(?:[/bfnrt]|u[\da-fA-F]{4})[^"\\\0-\x1f]*)*', re.ASCII)
"""What is one JSON text between two quotes, and says none, nor a backslash."""
_decode = json.JSONDecoder().raw_decode


def read(event: ChatEvent) -> Meaning:
    """Return what an event means.

    Lone surrogates, which JSON can escape and no file can
    hold, become U+FFFD.
    """
    if event.data.strip() == DONE:
        return Meaning(end=True, done=True)
    value = _value(event)
    frame = frame_of(value)
    if frame is None:
        found = generic.read(event.event, value)
        return found._replace(broken=True) if _BROKEN.match(event.data) else found
    found = _read(event.event, frame)
    if found.error is None and found.finish is not None and is_failure(found.finish):
        return found._replace(error=f"it finished with {found.finish!r}, and no message with it")
    return found


def type_of(event: ChatEvent) -> str:
    """Return an event's type: its name, or else what the object in its data calls itself."""
    if event.event != "message":
        return event.event
    frame = frame_of(_value(event)) or Frame()
    return frame.word("type") or frame.word("event") or event.event


def _value(event: ChatEvent) -> object:
    """Return the data as an object or a string if it is one in JSON, else as it stands."""
    if event.data.lstrip()[:1] in ("{", '"'):
        try:
            return event.json()
        except ValueError:
            pass
    return event.data


def _read(name: str, frame: Frame) -> Meaning:
    if name == agents.HERMES_PROGRESS:
        return agents.read_progress(frame)
    if name in agents.HERMES_NAMES:
        return agents.read_hermes(name, frame)._replace(runtime=_HERMES)
    known = _known(frame)
    # An event name for an end, an error or something silent takes precedence over its object.
    named = name != frame.get("type") and generic.role_of(name) in generic.DECISIVE
    if known is not None and not named:
        return known
    parts = openai.tokens(frame) if known is None else known.parts
    return generic.read(name, frame)._replace(parts=parts)


def _known(frame: Frame) -> Meaning | None:
    """Return the meaning from a runtime's own module; None where no module knows the frame."""
    kind, word = frame.get("type"), frame.get("event")
    runtime: str | None
    if isinstance(kind, str):
        runtime, found = _typed(kind, frame)
    elif isinstance(word, str) and word in agents.HERMES_RUN:
        runtime, found = _HERMES, agents.read_hermes(word, frame)
    else:
        runtime, found = openai.CHAT, openai.read_chunk(frame)
    return None if found is None else found._replace(runtime=runtime)


def _typed(kind: str, frame: Frame) -> tuple[str | None, Meaning | None]:
    if kind.startswith(openai.PREFIX):
        return "OpenAI Responses", openai.read_response(kind, frame)
    if kind.startswith(ui.DATA):
        return "AI SDK", Meaning()
    runtime, reads = _BY_TYPE.get(kind, (None, None))
    return runtime, None if reads is None else reads(kind, frame)


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
            same = (read(around.with_text(it)) == means(it) for it in _STAND_INS)
            if around == self._last and all(same):
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
            if (
                not text
                or data[:start] != head
                or data[end:] != tail
                or event.event != name
                or '"' in text
                or (("\\" in text or not text.isprintable()) and not _IN_QUOTES.fullmatch(text))
            ):
                return count
        return len(events)


def _one_text(found: Meaning) -> tuple[str, Callable[[str], Meaning]]:
    """Return a text of a meaning, and what makes that meaning of it if there is nothing else."""
    # What is the same in all of them, as an event's surroundings say it.
    meaning = partial(Meaning, models=found.models, runtime=found.runtime, loose=found.loose)
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
