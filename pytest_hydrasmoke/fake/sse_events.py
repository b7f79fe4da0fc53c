"""What a chat turn looks like on the wire, by runtime; pure.

openai     `data:` chunks whose `choices[0].delta.content` is the text, then `[DONE]`
anthropic  named events, `message_start` to `message_stop`
objects    `data:` objects of a `type` and a `content`
named      events `token` and `done`
text       `data:` lines of bare text, then `[DONE]`
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from .records import Json
from .scenario import Runtime, Scenario

_WORDS = re.compile(r"\s*\w+|\s*[^\w\s]+|\s+")
_LINE = re.compile(r"\r\n|\r|\n")
_EOL = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn's events, each with the comment before it and the blank line after it."""

    spoken: tuple[bytes, ...]
    """Up to the last of the text."""
    closing: tuple[bytes, ...]
    """The runtime's way to say that the turn is over; empty where the scenario has none."""
    error: bytes
    """The runtime's way to say that the agent has failed."""
    more: bytes
    """One more event of text, for an agent that never stops."""


def turn(scenario: Scenario) -> Turn:
    """Yield the scenario's reply in its runtime's events."""
    runtime = scenario.runtime
    tokens = _WORDS.findall(scenario.reply)
    opening, deltas = _OPENING[runtime], [_delta(runtime, token) for token in tokens]
    closing = _CLOSING[runtime] if scenario.terminal else ()
    eol = _EOL[scenario.line_end]
    comment = f": keep-alive{eol}{eol}" if scenario.keep_alive else ""

    def wire(event: _Event) -> bytes:
        name, data = event
        lines = [f"event: {name}"] if name else []
        lines += [f"data: {line}" for line in _LINE.split(data)]
        return (comment + "".join(line + eol for line in [*lines, ""])).encode()

    return Turn(
        spoken=tuple(wire(event) for event in (*opening, *deltas)),
        closing=tuple(map(wire, closing)),
        error=wire(_ERROR[runtime]),
        more=wire(_delta(runtime, " again")),
    )


_Event = tuple[str | None, str]
"""An event's name, where it has one, and its data."""


def _json(value: Json) -> str:
    # Characters as they are: a reader has to cope with the bytes of UTF-8, not with escapes.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _chunk(delta: dict[str, Json], finish_reason: str | None = None) -> _Event:
    choice: dict[str, Json] = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    head: dict[str, Json] = {"id": "chatcmpl-smoke", "object": "chat.completion.chunk"}
    return None, _json({**head, "created": 0, "model": "smoke", "choices": [choice]})


def _named(name: str, fields: dict[str, Json]) -> _Event:
    return name, _json({"type": name, **fields})


def _delta(runtime: Runtime, token: str) -> _Event:
    if runtime == "openai":
        return _chunk({"content": token})
    if runtime == "anthropic":
        delta: dict[str, Json] = {"type": "text_delta", "text": token}
        return _named("content_block_delta", {"index": 0, "delta": delta})
    if runtime == "objects":
        return None, _json({"type": "token", "content": token})
    return ("token" if runtime == "named" else None), token


_OPENING: dict[Runtime, tuple[_Event, ...]] = {
    "openai": (_chunk({"role": "assistant", "content": ""}),),
    "anthropic": (
        _named(
            "message_start",
            {
                "message": {
                    "id": "msg_smoke",
                    "type": "message",
                    "role": "assistant",
                    "model": "smoke",
                    "content": [],
                    "stop_reason": None,
                    "stop_sequence": None,
                    "usage": {"input_tokens": 1, "output_tokens": 1},
                }
            },
        ),
        _named(
            "content_block_start",
            {"index": 0, "content_block": {"type": "text", "text": ""}},
        ),
        _named("ping", {}),
    ),
    "objects": (),
    "named": (),
    "text": (),
}

_CLOSING: dict[Runtime, tuple[_Event, ...]] = {
    "openai": (_chunk({}, finish_reason="stop"), (None, "[DONE]")),
    "anthropic": (
        _named("content_block_stop", {"index": 0}),
        _named(
            "message_delta",
            {
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": 1},
            },
        ),
        _named("message_stop", {}),
    ),
    "objects": ((None, _json({"type": "done"})),),
    # Not empty: a reader that keeps to the rules never sees an event without data.
    "named": (("done", "{}"),),
    "text": ((None, "[DONE]"),),
}

_MISHAP = "the agent has failed"
_ERROR: dict[Runtime, _Event] = {
    "openai": (
        None,
        _json({"error": {"message": _MISHAP, "type": "server_error", "code": None}}),
    ),
    "anthropic": _named("error", {"error": {"type": "api_error", "message": _MISHAP}}),
    "objects": (None, _json({"type": "error", "content": _MISHAP})),
    "named": ("error", _MISHAP),
    "text": ("error", _MISHAP),
}
