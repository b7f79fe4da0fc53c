"""Hermes Agent: run events, with their kind in the data, and session events, named.

Both repeat the reply at their end, and run events send pieces of it once more as reasoning: the
deltas have the text. Only where there are none, since the model's provider did not stream or sent
no reply at all, the end has the agent's text.
"""

from __future__ import annotations

from collections.abc import Iterator

from .meaning import NO_MESSAGE, Meaning
from .parts import Part, Reasoning, Tokens, ToolCalled, ToolResult
from .values import Frame, frame_of, frames_in, key_in, message_of, text_in, word_in

NAME = "Hermes"

_RUN = """
    run.started run.completed run.failed run.cancelled message.started message.delta
    message.completed tool.started tool.progress tool.completed tool.failed reasoning.available
    reasoning.delta approval.request approval.responded
"""
RUN = frozenset(_RUN.split())
"""Values of `event` in the data of run events."""
SESSION = (RUN - {"message.delta"}) | {"assistant.delta", "assistant.completed"}
"""The names of session events."""


def read(kind: str, frame: Frame) -> Meaning:
    """Return what an event of this kind means."""
    if kind in ("message.delta", "assistant.delta"):
        return Meaning(text_in(frame.get("delta")), runtime=NAME)
    if kind == "assistant.completed":
        return Meaning(whole=text_in(frame.get("content")), runtime=NAME)
    if kind == "run.completed":
        output = text_in(frame.get("output"))
        return Meaning(end=True, finish=_finish_of(frame), whole=output, runtime=NAME)
    if kind in ("run.failed", "run.cancelled"):
        wordless = "the run was cancelled" if kind == "run.cancelled" else NO_MESSAGE
        return Meaning(error=message_of(frame.get("error")) or wordless, runtime=NAME)
    return Meaning(begins=kind == "run.started", runtime=NAME)


def _finish_of(frame: Frame) -> str | None:
    """Return the finish reason; a session has it in the messages that it keeps."""
    messages = list(frames_in(frame.get("messages")))
    return word_in(messages[-1].get("finish_reason")) if messages else None


def parts(kind: str, frame: Frame) -> Iterator[Part]:
    """Yield the content of an event of this kind beside text."""
    if kind in ("reasoning.delta", "reasoning.available"):
        thought = text_in(frame.get("delta")) or text_in(frame.get("text"))
        yield Reasoning(thought, repeats=kind == "reasoning.available")
    elif kind in ("tool.started", "tool.completed"):
        name = word_in(frame.get("tool")) or word_in(frame.get("tool_name"))
        # A name with a leading underscore is internal to the runtime, and not a `word_in`.
        if name is None:
            return
        if kind == "tool.started":
            yield ToolCalled(name, name, arguments=frame.get("args"), new=True)
        else:
            # `error` is sent for a successful tool too, as false.
            yield ToolResult(name, frame.get("result", frame.get("error") or None))
    elif kind == "run.completed":
        usage = frame_of(frame.get("usage"))
        if usage is not None:
            yield Tokens(usage.get("input_tokens"), usage.get("output_tokens"))


def progress(frame: Frame) -> Iterator[Part]:
    """Yield the content of `hermes.tool.progress`, which comes between chat chunks."""
    name, key = word_in(frame.get("tool")), key_in(frame.get("toolCallId"))
    if name is not None and frame.get("status") == "running":
        yield ToolCalled(name if key is None else key, name, None if key is None else str(key))
