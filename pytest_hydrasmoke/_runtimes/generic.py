"""Events of runtimes that have no module here: read by their words, and by their shape.

Only what is known to be text counts as text: a tool's output must not become part of a reply.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, cast

from .frame import DEPTH, Frame, frame_of, message_of, whole
from .meaning import NO_MESSAGE, Meaning, is_failure, names_failure, spelled_plainly

_Role = Literal["text", "end", "error", "silent"]
DECISIVE = ("end", "error", "silent")
"""Roles in which an event's name says more than its object."""

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
    "error": "exception fatal err",
}
_ROLE_OF: dict[str, _Role] = {
    spelled_plainly(word): role for role, words in _WORDS.items() for word in words.split()
}

# Parts of words: for tools, thinking and book-keeping there are many spellings.
_SILENT = re.compile(
    "tool|function|call|think|thought|reason|usage|status|state|step|ping|heartbeat|keepalive"
    "|meta|start|progress|json|signature"
)

# Keys that may hold text; the first one present decides.
_TEXTS = "delta content text token chunk message response answer reply data"
_TEXT_KEYS = tuple(_TEXTS.split())
_FINISH_KEYS = ("finishReason", "stop_reason", "stopReason", "done_reason")
_FAILURE_KEYS = ("status", "reason")
"""Keys at which an end says how it came about: only that of a failure is a finish reason."""
_SUCCESS_KEYS = ("success", "ok")
_CODE_KEYS = ("code", "status", "status_code", "statusCode")
_OTHERS = frozenset({"user", "system", "developer", "tool", "function", "reasoning"})
_LONGEST_WORD = 64
"""Characters of a name that is remembered."""


def read(name: str, value: object) -> Meaning:
    """Return the meaning of an event by its `name`, and by the object in its data, if any.

    - Events and objects named as an end end the turn. The text that they may repeat is not returned
      again. An object with `"done": true` ends the turn, and its text is the last piece of the
      reply.
    - An object is understood by the event's name if that is more specific than "message" or another
      word for text, else by its `type` or `event`, else by its keys. Tool calls, thinking, usage
      and the like add nothing, nor do unknown objects and names.
    - Data that isn't a JSON object is text as it stands: `42` is "42", and broken JSON is text too,
      until a runtime that sends objects is known. Only a JSON string is decoded, since a runtime
      that sends one quotes every piece. Plain pieces are joined with nothing between, so a runtime
      that sends words must send the spaces too.
    """
    frame = frame_of(value)
    role = role_of(name) if frame is None else _role_of_object(name, frame)
    if role == "error":
        return Meaning(error=message_of(value) or NO_MESSAGE)
    if role not in ("text", "end"):
        return Meaning()
    if frame is None:
        text = "" if role == "end" else text_of(value)
        return Meaning(text, end=role == "end", loose=bool(text))
    end = role == "end" or frame.get("done") is True
    finish = _finish_of(frame, end=end)
    failed = finish is not None and is_failure(finish)
    if frame.get("error") or (_has_failed(frame) and not failed):
        return Meaning(end=end, error=message_of(frame) or NO_MESSAGE, finish=finish)
    text = "" if role == "end" else text_of(frame)
    words = frame.message("message", "detail") if failed else ""
    return Meaning(text, end, error=words or None, finish=finish, models=frame.models)


def _finish_of(frame: Frame, *, end: bool) -> str | None:
    """Return the finish reason; an end may have it under another name."""
    finish = frame.word("finish_reason")
    if finish is not None or not end:
        return finish
    words = [frame.word(name) for name in _FINISH_KEYS]
    words += [word for name in _FAILURE_KEYS if (word := frame.word(name)) and is_failure(word)]
    return next(filter(None, words), None)


def _has_failed(frame: Frame) -> bool:
    """Return whether an object has a message, and says of itself that something failed.

    What has another text, or is of a tool, is not the agent's word.
    """
    if not frame.message("message", "detail") or is_anothers(frame):
        return False
    if any((frame.get(key) and key != "message") for key in _TEXT_KEYS):
        return False
    if any(map(_SILENT.search, frame.keys() - set(_CODE_KEYS))):
        return False
    codes, status = [frame.get(key) for key in _CODE_KEYS], frame.word("status")
    return (
        any(frame.get(key) is False for key in _SUCCESS_KEYS)
        or any(isinstance(code, int) and 400 <= code < 600 for code in codes)
        or (status is not None and is_failure(status))
    )


def role_of(word: str) -> _Role | None:
    # The same words come again and again. Long ones aren't words, and would only fill the cache.
    return _role_of_word(word) if len(word) <= _LONGEST_WORD else _read_role(word)


def _read_role(word: str) -> _Role | None:
    plain = spelled_plainly(word)
    if plain in _ROLE_OF:
        return _ROLE_OF[plain]
    if _SILENT.search(plain):  # before errors: a tool that fails is not a turn that fails
        return "silent"
    return "error" if names_failure(plain) else None


_role_of_word = lru_cache(maxsize=256)(_read_role)


def _role_of_object(name: str, frame: Frame) -> _Role | None:
    named = role_of(name)
    kind = frame.get("type")
    if not isinstance(kind, str):
        kind = frame.get("event")
    if not isinstance(kind, str) or named in DECISIVE:
        return named
    typed = role_of(kind)
    # "message" is the standard's name for an unnamed event, so it says nothing.
    return named if typed is None and spelled_plainly(name) != "message" else typed


def is_anothers(message: Frame) -> bool:
    """Return whether a message has another role than the assistant's."""
    return str(message.get("role")).lower() in _OTHERS


def text_of(value: object, depth: int = DEPTH) -> str:
    """Return the assistant's text in a JSON value."""
    if isinstance(value, str):
        return whole(value)
    if depth == 0:
        return ""
    if isinstance(value, list):
        return "".join(text_of(part, depth - 1) for part in cast("list[object]", value))
    frame = frame_of(value)
    if frame is None or is_anothers(frame):
        return ""
    if depth < DEPTH and isinstance(kind := frame.get("type"), str) and role_of(kind) != "text":
        return ""
    if isinstance(frame.get("choices"), list):
        return text_of(first_choice(frame), depth - 1)
    found = (frame[key] for key in _TEXT_KEYS if frame.get(key) is not None)
    return text_of(next(found, None), depth - 1)


def first_choice(frame: Frame) -> Frame | None:
    """Return the choice of index 0: if several were requested, their chunks alternate."""
    return next((one for one in frame.each("choices") if one.get("index", 0) == 0), None)
