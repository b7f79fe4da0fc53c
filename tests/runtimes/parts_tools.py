"""Frames of many runtimes, and what is read of them beside text."""

from __future__ import annotations

import json
from typing import Any

from runtimes_tools import read_one

from pytest_hydrasmoke._runtimes import anthropic
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._runtimes.meaning import Meaning, Part
from pytest_hydrasmoke._sse.decoder import ChatEvent


def chunk(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}], **more}


def call(index: int, **fields: Any) -> dict[str, Any]:
    """Return a chunk with a piece of a tool call."""
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    return chunk({"tool_calls": [{"index": index, **fields, "function": function}]})


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


def item(kind: str, **fields: Any) -> dict[str, Any]:
    return typed("response.output_item.added", item=typed(kind, **fields))


def block(index: int, **content: Any) -> dict[str, Any]:
    return typed("content_block_start", index=index, content_block=content)


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return typed("content_block_delta", index=index, delta=typed(kind, **fields))


def message(role: str, **content: Any) -> dict[str, Any]:
    return typed("Message", message={"id": "m", "role": role, "content": [content]})


LOOK = {"city": "Oslo"}
PIECES = ('{"city"', ': "Oslo"}')


def event_of(frame: Any) -> ChatEvent:
    name, data = frame if isinstance(frame, tuple) else ("message", frame)
    if isinstance(data, dict) and name == "message" and data.get("type") in anthropic.TYPES:
        name = data["type"]
    return ChatEvent(name, data if isinstance(data, str) else json.dumps(data))


def content_of(frames: list[Any]) -> Content:
    content = Content()
    for at, frame in enumerate(frames):
        event = event_of(frame)
        content.add(read_one(event.data, event.event), at)
    return content


def add(content: Content, part: Part, at: float = 0.0) -> None:
    """Add one part."""
    content.add(Meaning(parts=(part,)), at)
