"""What the tests of the runtimes share: frames as runtimes send them, and how one is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._runtimes.meaning import Meaning, Part
from pytest_hydrasmoke._runtimes.read import Reader
from pytest_hydrasmoke._runtimes.read import read as read_event
from pytest_hydrasmoke._sse.decoder import ChatEvent

DATA = Path(__file__).parents[1] / "data" / "sse"
LOOK = {"city": "Oslo"}
NO_MESSAGE = "the agent reports an error, and no message with it"


def chunk(delta: object, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}], **more}


def call(index: int, **fields: Any) -> dict[str, Any]:
    """Return a chunk with a piece of a tool call."""
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    return chunk({"tool_calls": [{"index": index, **fields, "function": function}]})


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


def block(index: object, **content: Any) -> dict[str, Any]:
    return typed("content_block_start", index=index, content_block=content)


def delta(index: object, kind: str, **fields: Any) -> dict[str, Any]:
    return typed("content_block_delta", index=index, delta=typed(kind, **fields))


def message(role: str, **content: Any) -> dict[str, Any]:
    return typed("Message", message={"id": "m", "role": role, "content": [content]})


def event_of(frame: Any) -> ChatEvent:
    """Return the event of a frame, or of a name and a frame; what is no text is sent as JSON."""
    name, data = frame if isinstance(frame, tuple) else ("message", frame)
    return ChatEvent(name, data if isinstance(data, str) else json.dumps(data))


def read_one(frame: Any) -> Meaning:
    """Return what a frame means, alone as among others like it."""
    it = event_of(frame)
    found, reader = read_event(it), Reader()
    # Once it is known what surrounds its text, it is read in another way.
    assert [reader.read(it) for _ in range(3)] == [found] * 3
    assert reader.speaking([it]) == 0 or only_text(found)
    return found


def only_text(found: Meaning) -> bool:
    """Return whether an event adds text, and nothing else."""
    kept = {"models": found.models, "runtime": found.runtime, "loose": found.loose}
    return found == Meaning(found.text, **kept)


def exact(meaning: Meaning) -> tuple[Meaning, list[type]]:
    """Return a meaning and the types of its parts, of which tuples of several may be equal."""
    return meaning, [type(part) for part in meaning.parts]


def content_of(*told: Any, most: int | None = None) -> Content:
    """Return the content of frames, of parts or meanings, each a second after the one before."""
    content = Content(most)
    for at, it in enumerate(told):
        known = Meaning(parts=(it,)) if isinstance(it, Part) else it
        content.add(known if isinstance(known, Meaning) else read_one(known), at)
    return content
