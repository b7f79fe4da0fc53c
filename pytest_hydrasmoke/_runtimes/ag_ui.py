"""AG-UI: objects with types in capitals, from `RUN_STARTED` to `RUN_FINISHED`."""

from __future__ import annotations

from collections.abc import Iterator

from .generic import is_anothers
from .meaning import (
    NO_MESSAGE,
    Meaning,
    Part,
    Reasoning,
    Tokens,
    ToolArguments,
    ToolCalled,
    ToolResult,
)
from .values import Frame, frame_of, frames_in, key_in, message_of, models_in, text_in, word_in

NAME = "AG-UI"

_TYPES = """
    RUN_STARTED RUN_FINISHED RUN_ERROR STEP_STARTED STEP_FINISHED TEXT_MESSAGE_START
    TEXT_MESSAGE_CONTENT TEXT_MESSAGE_CHUNK TEXT_MESSAGE_END TOOL_CALL_START TOOL_CALL_ARGS
    TOOL_CALL_CHUNK TOOL_CALL_END TOOL_CALL_RESULT THINKING_START THINKING_END
    THINKING_TEXT_MESSAGE_START THINKING_TEXT_MESSAGE_CONTENT THINKING_TEXT_MESSAGE_END
    REASONING_START REASONING_END REASONING_MESSAGE_START REASONING_MESSAGE_CONTENT
    REASONING_MESSAGE_CHUNK REASONING_MESSAGE_END REASONING_ENCRYPTED_VALUE STATE_SNAPSHOT
    STATE_DELTA MESSAGES_SNAPSHOT ACTIVITY_SNAPSHOT ACTIVITY_DELTA RAW CUSTOM
    SUBAGENT_STARTED SUBAGENT_FINISHED SUBAGENT_ERROR
"""
TYPES = frozenset(_TYPES.split())


def read(kind: str, frame: Frame) -> Meaning:
    """Return what an object of this type means."""
    delta = text_in(frame.get("delta"))
    match kind:
        case "TEXT_MESSAGE_CONTENT" | "TEXT_MESSAGE_CHUNK":
            # A message may be another participant's, or a subagent's: its failure is not the run's.
            others = is_anothers(frame) or frame.get("subagentRunId") is not None
            return Meaning("" if others else delta, runtime=NAME)
        case "REASONING_MESSAGE_CONTENT" | "REASONING_MESSAGE_CHUNK":
            return Meaning(parts=(Reasoning(delta),), runtime=NAME)
        case "THINKING_TEXT_MESSAGE_CONTENT":
            return Meaning(parts=(Reasoning(delta),), runtime=NAME)
        case "RUN_STARTED":
            return Meaning(begins=True, runtime=NAME)
        case "RUN_FINISHED":
            return _finished(frame)
        case "RUN_ERROR":
            error = message_of(frame.get("message")) or message_of(frame.get("code"))
            return Meaning(error=error or NO_MESSAGE, runtime=NAME)
        case _:
            return Meaning(parts=tuple(_tool(kind, frame)), runtime=NAME)


def _finished(frame: Frame) -> Meaning:
    usages = list(frames_in(frame.get("usage")))  # an entry for each model
    told = Tokens(
        _sum(usages, "inputTokens"),
        _sum(usages, "outputTokens"),
        _sum(usages, "cachedInputTokens"),
        _sum(usages, "reasoningTokens"),
    )
    models = models_in(*usages)
    outcome = word_in((frame_of(frame.get("outcome")) or {}).get("type"))
    if outcome == "cancelled":
        found = Meaning(error="the run was cancelled")
    else:
        # A run that waits for human input has ended, and not with a success.
        found = Meaning(end=True, finish=outcome)
    return found._replace(parts=(told,), models=models, runtime=NAME)


def _tool(kind: str, frame: Frame) -> Iterator[Part]:
    key = key_in(frame.get("toolCallId"))
    if key is None:
        return
    if kind in ("TOOL_CALL_START", "TOOL_CALL_CHUNK"):
        yield ToolCalled(key, word_in(frame.get("toolCallName")), str(key))
    if kind in ("TOOL_CALL_ARGS", "TOOL_CALL_CHUNK"):
        yield ToolArguments(key, text_in(frame.get("delta")))
    if kind == "TOOL_CALL_RESULT":
        yield ToolResult(key, frame.get("content"))


def _sum(usages: list[Frame], key: str) -> object:
    """Return the sum of some counts; or an invalid one, so that the caller notes it."""
    total: int | None = None
    for count in (entry.get(key) for entry in usages):
        if count is not None:
            if type(count) is not int or count < 0:
                return count
            total = (total or 0) + count
    return total
