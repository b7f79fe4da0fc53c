"""A chat turn as the bytes of server-sent events: its runtime's frames, encoded; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .runtimes import agents, hermes, openai
from .runtimes.frames import Event, Frames, Said
from .scenario import Runtime, Scenario

_LINE = re.compile(r"\r\n|\r|\n")
_EOL = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}
_FRAMES: Mapping[Runtime, Callable[[Said], Frames]] = {
    "openai": openai.chat,
    "hermes": hermes.chat_frames,
    "hermes-run": hermes.run_frames,
    "hermes-session": hermes.session_frames,
    "responses": openai.responses,
    "anthropic": agents.anthropic,
    "goose": agents.goose,
    "ag-ui": agents.ag_ui,
    "ai-sdk": agents.ai_sdk,
    "objects": agents.objects,
    "named": agents.named_events,
    "text": agents.text,
}


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn's events, each with the comments around it and the blank line after it."""

    spoken: tuple[bytes, ...]
    """All events to the last of the text."""
    closing: tuple[bytes, ...]
    """The runtime's terminal events; empty where the scenario has none."""
    error: bytes
    """The runtime's events of a failed agent."""
    more: bytes
    """One more event of text, for an agent that never stops."""


def turn(scenario: Scenario, said: Said) -> Turn:
    """Encode what the agent says in the events of the scenario's runtime."""
    frames = _FRAMES[scenario.runtime](said)
    eol = _EOL[scenario.line_end]

    def wire(event: Event) -> bytes:
        lines = [": keep-alive", ""] if scenario.keep_alive else []
        lines += [f"event: {event.name}"] if event.name else []
        lines += [f"data: {line}" for line in _LINE.split(event.data)]
        lines += ["", f": {event.comment}"] if event.comment else []
        return "".join(line + eol for line in [*lines, ""]).encode()

    return Turn(
        spoken=tuple(map(wire, frames.spoken)),
        closing=tuple(map(wire, frames.closing)) if scenario.terminal else (),
        error=b"".join(map(wire, frames.error)),
        more=wire(frames.more),
    )
