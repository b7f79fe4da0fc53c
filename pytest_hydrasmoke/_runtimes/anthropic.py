"""Anthropic's messages: blocks of text, thinking and tools, from `message_start` to its stop."""

from __future__ import annotations

from .frame import Frame
from .meaning import Meaning, Part, Reasoning, ToolArguments, ToolCalled

_TYPES = """
    message_start content_block_start content_block_delta content_block_stop message_delta
    message_stop
"""
TYPES = frozenset(_TYPES.split())


def read(kind: str, frame: Frame) -> Meaning:
    """Return what an object of this type means."""
    match kind:
        case "message_start":
            parts, models = _tokens(frame), frame.inner("message").models
            return Meaning(begins=True, parts=parts, models=models)
        case "content_block_start":
            return Meaning(parts=_block(frame))
        case "content_block_delta":
            return _piece(frame)
        case "message_delta":
            finish = frame.inner("delta").word("stop_reason")
            return Meaning(finish=finish, parts=_tokens(frame))
        case "message_stop":
            # An agent's turn has a message for each call of its model.
            return Meaning(end=True, of_message=True)
        case _:
            return Meaning()


def _block(frame: Frame) -> tuple[Part, ...]:
    block = frame.inner("content_block")
    # Those of a server, too: `server_tool_use`, `mcp_tool_use`.
    if not block.text("type").endswith("tool_use"):
        return ()
    name, call_id = block.name("name"), block.name("id")
    return (ToolCalled(_key(frame), name, call_id, block.get("input"), new=True),)


def _piece(frame: Frame) -> Meaning:
    delta = frame.inner("delta")
    match delta.get("type"):
        case "text_delta":
            return Meaning(delta.text("text"))
        case "thinking_delta":
            return Meaning(parts=(Reasoning(delta.text("thinking")),))
        case "input_json_delta":
            arguments = ToolArguments(_key(frame), delta.text("partial_json"))
            return Meaning(parts=(arguments,))
        case _:
            return Meaning()


def _key(frame: Frame) -> str | int:
    return frame.key("index") or 0


def _tokens(frame: Frame) -> tuple[Part, ...]:
    return (frame.inner("message") or frame).tokens("usage", "input_tokens", "output_tokens")
