"""Anthropic's messages: blocks of text, thinking and tools, from `message_start` to its stop."""

from __future__ import annotations

from collections.abc import Iterator

from .meaning import Meaning
from .parts import Part, Reasoning, Tokens, ToolArguments, ToolCalled
from .values import Frame, frame_of, key_in, text_in, word_in

NAME = "Anthropic"

_TYPES = """
    message_start content_block_start content_block_delta content_block_stop message_delta
    message_stop
"""
TYPES = frozenset(_TYPES.split())


def read(kind: str, frame: Frame) -> Meaning:
    """Return what an object of this type means."""
    if kind == "message_stop":
        # An agent's turn has a message for each call of its model.
        return Meaning(end=True, of_message=True, runtime=NAME)
    delta = frame_of(frame.get("delta")) or {}
    if kind == "content_block_delta" and delta.get("type") == "text_delta":
        return Meaning(text_in(delta.get("text")), runtime=NAME)
    if kind == "message_delta":
        return Meaning(finish=word_in(delta.get("stop_reason")), runtime=NAME)
    return Meaning(begins=kind == "message_start", runtime=NAME)


def parts(kind: str, frame: Frame) -> Iterator[Part]:
    """Yield the content of an object of this type beside text."""
    key = key_in(frame.get("index")) or 0
    delta = frame_of(frame.get("delta")) or {}
    if kind == "content_block_start":
        block = frame_of(frame.get("content_block")) or {}
        if block.get("type") == "tool_use":
            name, call_id = word_in(block.get("name")), word_in(block.get("id"))
            # The arguments follow in pieces; where they are whole already, none do.
            yield ToolCalled(key, name, call_id, block.get("input") or None, new=True)
    elif kind == "content_block_delta":
        if delta.get("type") == "thinking_delta":
            yield Reasoning(text_in(delta.get("thinking")))
        elif delta.get("type") == "input_json_delta":
            yield ToolArguments(key, text_in(delta.get("partial_json")))
    elif kind in ("message_start", "message_delta"):
        message = frame_of(frame.get("message")) or frame
        usage = frame_of(message.get("usage"))
        if usage is not None:
            read, written = usage.get("input_tokens"), usage.get("output_tokens")
            yield Tokens(read, written, new=kind == "message_start")
