"""Hermes Agent: run events, with their kind in the data, and session events, named.

Both repeat the reply at their end, and run events send pieces of it once more as reasoning: the
deltas have the text. Only where there are none, since the model's provider did not stream or sent
no reply at all, the end has the agent's text.
"""

from __future__ import annotations

from collections.abc import Iterator

from .meaning import NO_MESSAGE, Meaning, Part, Reasoning, ToolCalled, ToolResult
from .values import Frame, frames_in, key_in, message_of, text_in, tokens_in, word_in

NAME = "Hermes"

_RUN = """
    run.started run.completed run.failed run.cancelled message.started message.delta
    message.completed tool.started tool.progress tool.completed tool.failed reasoning.available
    reasoning.delta approval.request approval.responded
"""
RUN = frozenset(_RUN.split())
"""Values of `event` in the data of run events."""
PROGRESS = "hermes.tool.progress"
"""The name of an event that comes between OpenAI's chunks."""
NAMES = (RUN - {"message.delta"}) | {"assistant.delta", "assistant.completed", PROGRESS}
"""The names of session events, and that one."""


def read(kind: str, frame: Frame) -> Meaning:
    """Return what an event of this kind means."""
    match kind:
        case "run.started":
            return Meaning(begins=True, runtime=NAME)
        case "message.delta" | "assistant.delta":
            return Meaning(text_in(frame.get("delta")), runtime=NAME)
        case "assistant.completed":
            return Meaning(whole=text_in(frame.get("content")), runtime=NAME)
        case "run.completed":
            return _completed(frame)
        case "run.failed" | "run.cancelled":
            wordless = "the run was cancelled" if kind == "run.cancelled" else NO_MESSAGE
            return Meaning(error=message_of(frame.get("error")) or wordless, runtime=NAME)
        case "reasoning.delta" | "reasoning.available":
            thought = text_in(frame.get("delta")) or text_in(frame.get("text"))
            repeats = kind == "reasoning.available"
            return Meaning(parts=(Reasoning(thought, repeats),), runtime=NAME)
        case _ if kind == PROGRESS:
            return Meaning(parts=tuple(_progress(frame)))
        case _:
            return Meaning(parts=tuple(_tool(kind, frame)), runtime=NAME)


def _completed(frame: Frame) -> Meaning:
    # A session has its finish reason in the messages that it keeps.
    messages = list(frames_in(frame.get("messages")))
    finish = word_in(messages[-1].get("finish_reason")) if messages else None
    whole = text_in(frame.get("output"))
    parts = tokens_in(frame.get("usage"), "input_tokens", "output_tokens")
    return Meaning(end=True, finish=finish, whole=whole, parts=parts, runtime=NAME)


def _tool(kind: str, frame: Frame) -> Iterator[Part]:
    name = word_in(frame.get("tool")) or word_in(frame.get("tool_name"))
    # A name with a leading underscore is internal to the runtime, and not a `word_in`.
    if name is not None and kind == "tool.started":
        yield ToolCalled(name, name, arguments=frame.get("args"), new=True)
    elif name is not None and kind == "tool.completed":
        # `error` is sent for a successful tool too, as false.
        yield ToolResult(name, frame.get("result", frame.get("error") or None))


def _progress(frame: Frame) -> Iterator[Part]:
    name, key = word_in(frame.get("tool")), key_in(frame.get("toolCallId"))
    if name is not None and frame.get("status") == "running":
        yield ToolCalled(name if key is None else key, name, None if key is None else str(key))
