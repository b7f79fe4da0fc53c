"""What an event of a chat stream means, whichever runtime sent it.

The module's law:

- One event in, one meaning out: no settings, no memory of the events before it.
- A frame is understood by its words (the event's name, the object's `type`) and by its shape,
  never by guessing which runtime sent it.
- What isn't known to be text is no text: a reply must not swell by a tool's output.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast

from pytest_hydrasmoke._sse.decoder import ChatEvent

_Role = Literal["text", "end", "error", "silent"]


def _plain(word: str) -> str:
    """Spell a word without letter case and separators: `toolCall`, `tool_call`, `tool.call`."""
    return re.sub(r"[\W_]+", "", word).lower()


_WORDS: dict[_Role, str] = {
    "text": """
        message token text delta content chunk data partial assistant answer reply response output
        text_delta text_chunk token_delta content_delta content_chunk message_chunk output_text
        assistant_message assistant_delta agent_message agent_message_chunk response_delta
        content_block_delta response.output_text.delta
    """,
    "end": """
        done end complete completed finish finished stop final eos close stream_end end_of_stream
        stream_done turn_end turn_complete turn_completed message_stop
        response.completed response.incomplete response.done
    """,
    "error": "exception failure fatal",
}
_ROLE_OF: dict[str, _Role] = {
    _plain(word): role for role, words in _WORDS.items() for word in words.split()
}

# Parts of words: of every kind of tool, thinking and book-keeping there are many spellings.
_SILENT = re.compile(
    "tool|function|call|think|thought|reason|usage|status|state|step|ping|heartbeat|keepalive"
    "|meta|start|progress|json|signature"
)
_ERROR = re.compile("(error|failed)$")

# Where text, and where an error's message, may lie; the first one present decides.
_TEXT_KEYS = (
    "delta",
    "content",
    "text",
    "token",
    "chunk",
    "message",
    "response",
    "answer",
    "reply",
    "data",
)
_ERROR_KEYS = (
    "error",
    "message",
    "detail",
    "reason",
    "response",
    "data",
    "content",
    "text",
    "code",
    "type",
)
_NO_MESSAGE = "the agent reports an error, and no message with it"
_OTHERS = frozenset({"user", "system", "developer", "tool", "function"})
_DEPTH = 8  # a frame nests five deep at most; anything deeper is an attack on the call stack
_LONGEST_WORD = 64  # characters of a name that is remembered
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Meaning:
    """Say what one event adds to a chat turn."""

    text: str = ""
    """What to append to the reply, with nothing between."""
    end: bool = False
    """Whether it is the turn's terminal event."""
    error: str | None = None
    """The agent's error, never empty; None where the event reports none."""


_NOTHING = Meaning()


def meaning(event: ChatEvent) -> Meaning:
    """Return what an event means.

    - `[DONE]`, and events and objects named as an end, end the turn. The text they may repeat is
      not given again. `finish_reason` ends nothing, since `[DONE]` follows it; an object with
      `"done": true` ends the turn, and its text is the last piece of the reply.
    - An object is understood by the event's name where that says more than "message" or another
      word for text, else by its `type`, else by its keys. Tool calls, thinking, usage and the
      like give nothing, nor do objects and names that are unknown.
    - Data that isn't a JSON object is text as it stands: `42` is "42", and broken JSON is text
      too. Only a JSON string is decoded, since a runtime that sends one quotes every piece.
      Plain pieces follow each other with nothing between, so a runtime that sends words must
      send the spaces too.
    - Halves of a surrogate pair, which JSON can escape and no file can hold, become U+FFFD.
    """
    if event.data.strip() == "[DONE]":
        return Meaning(end=True)
    value = _value(event)
    frame = _object(value)
    role = _role(event.event) if frame is None else _role_of_object(event.event, frame)
    if role == "error":
        return Meaning(error=_error(value, _DEPTH) or _NO_MESSAGE)
    if role not in ("text", "end"):
        return Meaning()
    if frame is None:
        return Meaning(end=True) if role == "end" else Meaning(_text(value, _DEPTH))
    end = role == "end" or frame.get("done") is True
    if frame.get("error"):
        return Meaning(end=end, error=_error(frame, _DEPTH) or _NO_MESSAGE)
    return Meaning("" if role == "end" else _text(frame, _DEPTH), end)


def course(event: ChatEvent) -> Meaning:
    """Return whether an event ends the turn or reports an error; its text may be left out.

    As `meaning`, but without a look into the frames that most chats consist of: objects without a
    name and a type, which are text, or nothing, unless one of these keys says more.
    """
    data = event.data
    if (
        event.event != "message"
        or data[:1] != "{"
        or '"type"' in data
        or '"done"' in data
        or '"error"' in data
        or "\\u" in data  # JSON can spell any letter of a key as an escape
    ):
        return meaning(event)
    return _NOTHING


def _value(event: ChatEvent) -> object:
    """Return the data as an object or a string where it is one in JSON, else as it stands."""
    if event.data.lstrip()[:1] in ("{", '"'):
        try:
            return event.json()
        except ValueError:
            pass
    return event.data


def _object(value: object) -> dict[str, object] | None:
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _role(word: str) -> _Role | None:
    # Words come again and again. Long ones aren't words, and would only fill the cache.
    return _role_of_word(word) if len(word) <= _LONGEST_WORD else _read_role(word)


def _read_role(word: str) -> _Role | None:
    plain = _plain(word)
    if plain in _ROLE_OF:
        return _ROLE_OF[plain]
    if _SILENT.search(plain):  # before errors: a tool that fails is not a turn that fails
        return "silent"
    return "error" if _ERROR.search(plain) else None


_role_of_word = lru_cache(maxsize=256)(_read_role)


def _role_of_object(name: str, frame: dict[str, object]) -> _Role | None:
    named = _role(name)
    kind = frame.get("type")
    if not isinstance(kind, str) or named in ("end", "error", "silent"):
        return named
    typed = _role(kind)
    # "message" is what the standard calls an event without a name, so it says nothing.
    return named if typed is None and _plain(name) != "message" else typed


def _text(value: object, depth: int) -> str:
    """Find the assistant's text in a JSON value."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if depth == 0:
        return ""
    if isinstance(value, list):
        return "".join(_text(part, depth - 1) for part in cast("list[object]", value))
    frame = _object(value)
    if frame is None or str(frame.get("role")).lower() in _OTHERS:
        return ""
    if depth < _DEPTH and isinstance(kind := frame.get("type"), str) and _role(kind) != "text":
        return ""
    choices = frame.get("choices")
    if isinstance(choices, list):
        return _text(_first_choice(cast("list[object]", choices)), depth - 1)
    found = (frame[key] for key in _TEXT_KEYS if frame.get(key) is not None)
    return _text(next(found, None), depth - 1)


def _first_choice(choices: list[object]) -> object:
    """Pick the choice of index 0: with several asked for, chunks of all of them alternate."""
    frames = [frame for frame in map(_object, choices) if frame is not None]
    return next((frame for frame in frames if frame.get("index", 0) == 0), None)


def _error(value: object, depth: int) -> str:
    """Find an error's message in a JSON value; "" where there is none."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value).strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    frame = _object(value)
    if frame is None or depth == 0:
        return ""
    found = (_error(frame.get(key), depth - 1) for key in _ERROR_KEYS)
    return next(filter(None, found), "")
