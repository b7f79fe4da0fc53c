"""What an event means, whichever runtime has sent it.

One event in, one meaning out: no settings, no memory of earlier events. A frame is identified by
its words and its shape, never by a guess at its sender; what no runtime's module knows is read by
the most common words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from pytest_hydrasmoke._sse.decoder import ChatEvent

from . import (
    ag_ui,
    ai_sdk,
    anthropic,
    generic,
    goose,
    hermes,
    openai_chat,
    openai_delta,
    openai_responses,
)
from .finish import is_failure
from .meaning import NOTHING, Meaning
from .openai_chat import CHUNK
from .parts import Part
from .values import Frame, frame_of

_BY_TYPE: Mapping[str, Callable[[str, Frame], Meaning | None]] = {
    **dict.fromkeys(anthropic.TYPES, anthropic.read),
    **dict.fromkeys(goose.TYPES, goose.read),
    **dict.fromkeys(ag_ui.TYPES, ag_ui.read),
    **dict.fromkeys(ai_sdk.TYPES, ai_sdk.read),
}
_PARTS: Mapping[str, Callable[[str, Frame], Iterator[Part]]] = {
    **dict.fromkeys(anthropic.TYPES, anthropic.parts),
    **dict.fromkeys(goose.TYPES, goose.parts),
    **dict.fromkeys(ag_ui.TYPES, ag_ui.parts),
    **dict.fromkeys((*ai_sdk.TYPES, "finish"), ai_sdk.parts),
}
_SAYS_TEXT = (
    '"text_delta"',
    '"text-delta"',
    '"TEXT_MESSAGE_CONTENT"',
    '"response.output_text.delta"',
    '"message.delta"',
)
"""Types of events with only text: quotes inside the text itself would be escaped."""
_SAYS_MORE = ('"type"', '"event"', '"tool', '"reasoning', '"usage"', "\\u")
"""An unnamed event with other content than text contains one of these."""


def meaning(event: ChatEvent) -> Meaning:
    """Return what an event means.

    `[DONE]` ends a turn of any runtime. Lone surrogates, which JSON can escape and no file can
    hold, become U+FFFD.
    """
    if (delta := _delta_of(event)) is not None:
        return openai_delta.meaning(delta)
    if event.data.strip() == "[DONE]":
        return Meaning(end=True)
    value = _value(event)
    frame = frame_of(value)
    known = None if frame is None else _known(event.event, frame)
    found = known or generic.read(event.event, value)
    if found.error is None and found.finish is not None and is_failure(found.finish):
        return found._replace(error=f"it finished with {found.finish!r}, and no message with it")
    return found


def text_of(event: ChatEvent) -> str:
    """Return the text that an event adds to the reply."""
    return meaning(event).text


def course(event: ChatEvent) -> Meaning:
    """Return what an event says of the turn's end and failure; its text may be left out.

    Like `meaning`, but without parsing the frames that most chats consist of: objects without a
    name and a type, which hold text, or nothing, unless one of these keys is present.
    """
    data = event.data
    if (
        event.event != "message"
        or data[:1] != "{"
        or '"type"' in data
        or '"error"' in data
        or "\\u" in data  # JSON can spell any letter of a key as an escape
    ):
        return meaning(event)
    # A continuing chunk of one choice: with several in one chunk, any may have finished.
    if '"finish_reason":null' in data and '"choices":[' in data and "},{" not in data:
        return CHUNK
    if '"finish_reason": null' in data and '"choices": [' in data and "}, {" not in data:
        return CHUNK
    if '"done"' in data or '"event"' in data or '"choices"' in data or '"finish_reason"' in data:
        return meaning(event)
    return NOTHING


def _delta_of(event: ChatEvent) -> Frame | None:
    """Return the delta of a continuing OpenAI chunk; None for any other event."""
    data = event.data
    if event.event != "message" or '"choices"' not in data:
        return None
    return openai_delta.delta_of(data)


def _value(event: ChatEvent) -> object:
    """Return the data as an object or a string if it is one in JSON, else as it stands."""
    if event.data.lstrip()[:1] in ("{", '"'):
        try:
            return event.json()
        except ValueError:
            pass
    return event.data


def _known(name: str, frame: Frame) -> Meaning | None:
    """Return the meaning from a runtime's own module; None where no module knows the frame."""
    if name in hermes.SESSION:
        return hermes.read(name, frame)
    kind = frame.get("type")
    # An event name for an end, an error or something silent takes precedence over its object.
    if name not in ("message", kind) and generic.role_of(name) in ("end", "error", "silent"):
        return None
    if not isinstance(kind, str):
        word = frame.get("event")
        if isinstance(word, str) and word in hermes.RUN:
            return hermes.read(word, frame)
        return openai_chat.read(frame)
    if kind.startswith(openai_responses.PREFIX):
        return openai_responses.read(kind, frame)
    if kind.startswith(ai_sdk.DATA):
        return ai_sdk.read(kind, frame)
    if kind == "error":
        return ai_sdk.read_error(frame)
    read = _BY_TYPE.get(kind)
    return None if read is None else read(kind, frame)


def parts(event: ChatEvent) -> Iterable[Part]:
    """Return the content of an event beside text: tools, reasoning, usage; only what is known."""
    if (delta := _delta_of(event)) is not None:
        return openai_delta.parts(delta)
    # Most events hold only text: they need not be parsed a second time.
    data = event.data
    if event.event == "message" and not any(word in data for word in _SAYS_MORE):
        return ()
    return () if any(word in data for word in _SAYS_TEXT) else _parts(event)


def _parts(event: ChatEvent) -> Iterator[Part]:
    frame = frame_of(_value(event))
    if frame is None:
        return
    if event.event == "hermes.tool.progress":
        yield from hermes.progress(frame)
        return
    kind, word = frame.get("type"), frame.get("event")
    if event.event in hermes.SESSION:
        yield from hermes.parts(event.event, frame)
    elif isinstance(kind, str):
        if kind.startswith(openai_responses.PREFIX):
            yield from openai_responses.parts(kind, frame)
        elif kind in _PARTS:
            yield from _PARTS[kind](kind, frame)
    elif isinstance(word, str) and word in hermes.RUN:
        yield from hermes.parts(word, frame)
    else:
        yield from openai_chat.parts(frame)
