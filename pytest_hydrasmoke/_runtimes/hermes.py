"""Hermes Agent: its run events, with their kind in the data, and its session events, named.

Both repeat the whole reply at their end, and run events may tell it once more as reasoning: what
was said is said by the deltas alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from .meaning import NO_MESSAGE, Meaning
from .parts import Part, Reasoning, Tokens, ToolCalled, ToolResult
from .values import Frame, frame_of, key_in, message_of, text_in, word_in

NAME = "Hermes"

_RUN = """
    run.started run.completed run.failed run.cancelled message.started message.delta
    message.completed tool.started tool.progress tool.completed tool.failed reasoning.available
    reasoning.delta approval.request approval.responded
"""
RUN = frozenset(_RUN.split())
"""What `event` says in the data of run events."""
SESSION = (RUN - {"message.delta"}) | {"assistant.delta", "assistant.completed"}
"""The names of session events."""


def read(kind: str, frame: Frame) -> Meaning:
    """Return what an event of this kind means."""
    if kind in ("message.delta", "assistant.delta"):
        return Meaning(text_in(frame.get("delta")), runtime=NAME)
    if kind == "run.completed":
        return Meaning(end=True, runtime=NAME)
    if kind in ("run.failed", "run.cancelled"):
        wordless = "the run was cancelled" if kind == "run.cancelled" else NO_MESSAGE
        return Meaning(error=message_of(frame.get("error")) or wordless, runtime=NAME)
    return Meaning(runtime=NAME)


def parts(kind: str, frame: Frame) -> Iterator[Part]:
    """Yield what an event of this kind says beside text."""
    if kind in ("reasoning.delta", "reasoning.available"):
        thought = text_in(frame.get("delta")) or text_in(frame.get("text"))
        yield Reasoning(thought, repeats=kind == "reasoning.available")
    elif kind in ("tool.started", "tool.completed"):
        name = word_in(frame.get("tool")) or word_in(frame.get("tool_name"))
        # Those of an underscore are the runtime's own.
        if name is None or name.startswith("_"):
            return
        if kind == "tool.started":
            yield ToolCalled(name, name, arguments=frame.get("args"), new=True)
        else:
            yield ToolResult(name, frame.get("result", frame.get("error")))
    elif kind == "run.completed":
        usage = frame_of(frame.get("usage"))
        if usage is not None:
            yield Tokens(usage.get("input_tokens"), usage.get("output_tokens"))


def progress(frame: Frame) -> Iterator[Part]:
    """Yield what `hermes.tool.progress` says, which comes between chat chunks."""
    name, key = word_in(frame.get("tool")), key_in(frame.get("toolCallId"))
    if name is not None and not name.startswith("_") and frame.get("status") == "running":
        yield ToolCalled(name if key is None else key, name, None if key is None else str(key))
