"""What an event means, whichever runtime has sent it.

One event in, one meaning out: no settings, no memory of earlier events. A frame is identified by
its words and its shape, never by a guess at its sender; what no runtime's module knows is read by
the most common words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_hydrasmoke._sse.decoder import ChatEvent

from . import ag_ui, ai_sdk, anthropic, generic, goose, hermes, openai
from .finish import is_failure
from .meaning import Meaning
from .values import Frame, frame_of, word_in

_BY_TYPE: Mapping[str, Callable[[str, Frame], Meaning | None]] = {
    **dict.fromkeys(anthropic.TYPES, anthropic.read),
    **dict.fromkeys(goose.TYPES, goose.read),
    **dict.fromkeys(ag_ui.TYPES, ag_ui.read),
    **dict.fromkeys(ai_sdk.TYPES, ai_sdk.read),
}


def read(event: ChatEvent) -> Meaning:
    """Return what an event means.

    `[DONE]` ends a turn of any runtime. Lone surrogates, which JSON can escape and no file can
    hold, become U+FFFD.
    """
    if event.data.strip() == "[DONE]":
        return Meaning(end=True)
    value = _value(event)
    frame = frame_of(value)
    found = generic.read(event.event, value) if frame is None else _read(event.event, frame)
    if found.error is None and found.finish is not None and is_failure(found.finish):
        return found._replace(error=f"it finished with {found.finish!r}, and no message with it")
    return found


def type_of(event: ChatEvent) -> str:
    """Return an event's type: its name, or else what the object in its data calls itself."""
    if event.event != "message":
        return event.event
    frame = frame_of(_value(event)) or {}
    return word_in(frame.get("type")) or word_in(frame.get("event")) or event.event


def _value(event: ChatEvent) -> object:
    """Return the data as an object or a string if it is one in JSON, else as it stands."""
    if event.data.lstrip()[:1] in ("{", '"'):
        try:
            return event.json()
        except ValueError:
            pass
    return event.data


def _read(name: str, frame: Frame) -> Meaning:
    if name in hermes.NAMES:
        return hermes.read(name, frame)
    known = _known(frame)
    # An event name for an end, an error or something silent takes precedence over its object.
    named = name not in ("message", frame.get("type")) and generic.role_of(name) in generic.DECISIVE
    if known is not None and not named:
        return known
    parts = openai.tokens(frame) if known is None else known.parts
    return generic.read(name, frame)._replace(parts=parts)


def _known(frame: Frame) -> Meaning | None:
    """Return the meaning from a runtime's own module; None where no module knows the frame."""
    kind, word = frame.get("type"), frame.get("event")
    if not isinstance(kind, str):
        if isinstance(word, str) and word in hermes.RUN:
            return hermes.read(word, frame)
        return openai.read_chunk(frame)
    if kind.startswith(openai.PREFIX):
        return openai.read_response(kind, frame)
    if kind.startswith(ai_sdk.DATA):
        return ai_sdk.read(kind, frame)
    by_type = _BY_TYPE.get(kind)
    return None if by_type is None else by_type(kind, frame)
