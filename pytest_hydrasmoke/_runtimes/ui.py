"""What is sent to user interfaces: AG-UI, and the AI SDK's UI message stream."""

from __future__ import annotations

from collections.abc import Iterator

from . import generic
from .frame import Frame, models_in
from .generic import is_anothers, text_of
from .meaning import (
    NO_MESSAGE,
    Meaning,
    Part,
    Reasoning,
    TokensUsed,
    ToolArguments,
    ToolCalled,
    ToolResult,
)

_AG_UI = """
    RUN_STARTED RUN_FINISHED RUN_ERROR STEP_STARTED STEP_FINISHED TEXT_MESSAGE_START
    TEXT_MESSAGE_CONTENT TEXT_MESSAGE_CHUNK TEXT_MESSAGE_END TOOL_CALL_START TOOL_CALL_ARGS
    TOOL_CALL_CHUNK TOOL_CALL_END TOOL_CALL_RESULT THINKING_START THINKING_END
    THINKING_TEXT_MESSAGE_START THINKING_TEXT_MESSAGE_CONTENT THINKING_TEXT_MESSAGE_END
    REASONING_START REASONING_END REASONING_MESSAGE_START REASONING_MESSAGE_CONTENT
    REASONING_MESSAGE_CHUNK REASONING_MESSAGE_END REASONING_ENCRYPTED_VALUE STATE_SNAPSHOT
    STATE_DELTA MESSAGES_SNAPSHOT ACTIVITY_SNAPSHOT ACTIVITY_DELTA RAW CUSTOM
    SUBAGENT_STARTED SUBAGENT_FINISHED SUBAGENT_ERROR
"""
AG_UI = frozenset(_AG_UI.split())
"""AG-UI's types, from `RUN_STARTED` to `RUN_FINISHED`."""
_AI_SDK = """
    text-start text-delta text-end reasoning-start reasoning-delta reasoning-end
    tool-input-start tool-input-delta tool-input-available tool-input-error
    tool-output-available tool-output-error source-url source-document start-step finish-step
    message-metadata abort start error
"""
AI_SDK = frozenset(_AI_SDK.split())
"""The AI SDK's types, but `finish`, and `file`, which are everybody's words."""
DATA = "data-"
"""Prefix of the types of an application's own parts in the AI SDK, such as `data-weather`."""


def read_ag_ui(kind: str, frame: Frame) -> Meaning:
    """Return what an object of this type means."""
    delta = frame.text("delta")
    match kind:
        case "TEXT_MESSAGE_CONTENT" | "TEXT_MESSAGE_CHUNK":
            # A message may be another participant's, or a subagent's: its failure is not the run's.
            others = is_anothers(frame) or frame.get("subagentRunId") is not None
            return Meaning("" if others else delta)
        case (
            "REASONING_MESSAGE_CONTENT"
            | "REASONING_MESSAGE_CHUNK"
            | "THINKING_TEXT_MESSAGE_CONTENT"
        ):
            return Meaning(parts=(Reasoning(delta),))
        case "RUN_STARTED":
            return Meaning(begins=True)
        case "RUN_FINISHED":
            return _finished(frame)
        case "RUN_ERROR":
            error = frame.message("message", "code")
            return Meaning(error=error or NO_MESSAGE)
        case _:
            return Meaning(parts=tuple(_ag_ui_tool(kind, frame)))


def _finished(frame: Frame) -> Meaning:
    usages = list(frame.each("usage"))  # an entry for each model
    told = TokensUsed(
        _sum(usages, "inputTokens"),
        _sum(usages, "outputTokens"),
        _sum(usages, "cachedInputTokens"),
        _sum(usages, "reasoningTokens"),
    )
    outcome = frame.inner("outcome").word("type") or frame.word("outcome")
    if outcome == "cancelled":
        found = Meaning(error="the run was cancelled")
    else:
        # A run that waits for human input has ended, and not with a success.
        found = Meaning(end=True, finish=outcome)
    return found._replace(parts=(told,), models=models_in(*usages))


def _sum(usages: list[Frame], key: str) -> object:
    """Return the sum of some counts; or an invalid one, so that the caller notes it."""
    total: int | None = None
    for count in (entry.get(key) for entry in usages):
        if count is not None:
            if type(count) is not int or count < 0:
                return count
            total = (total or 0) + count
    return total


def _ag_ui_tool(kind: str, frame: Frame) -> Iterator[Part]:
    key = frame.key("toolCallId")
    if key is not None and kind in ("TOOL_CALL_START", "TOOL_CALL_CHUNK"):
        yield ToolCalled(key, frame.name("toolCallName"), str(key), "")
    delta = frame.text("delta")
    # Of a call's chunks only the first one need say whose it is.
    if kind in ("TOOL_CALL_ARGS", "TOOL_CALL_CHUNK") and (delta or key is not None):
        yield ToolArguments(key, delta)
    if key is not None and kind == "TOOL_CALL_RESULT":
        yield ToolResult(key, frame.get("content"))


def read_ai_sdk(kind: str, frame: Frame) -> Meaning | None:
    """Return what an object of this type means; None if it is another runtime's."""
    match kind:
        case "text-delta":
            # Earlier protocols have other names for it.
            return Meaning(frame.text("textDelta") or text_of(frame))
        case "error" if "errorText" not in frame:
            return None
        case "error":
            return Meaning(error=frame.message("errorText") or NO_MESSAGE)
        case "abort":
            return Meaning(error=frame.message("reason") or "the stream was aborted")
        case "start" if "messageMetadata" not in frame:
            return None
        case "start" | "message-metadata":
            return _metadata(Meaning(), frame)
        case "reasoning-delta":
            return Meaning(parts=(Reasoning(frame.text("delta")),))
        case _:
            return Meaning(parts=tuple(_ai_sdk_tool(kind, frame)))


def read_finish(kind: str, frame: Frame) -> Meaning:
    """Return what `finish` means: the generic rules read it, but for its models and tokens."""
    return _metadata(generic.read(kind, frame), frame)


def _metadata(found: Meaning, frame: Frame) -> Meaning:
    metadata = frame.inner("messageMetadata")
    told = metadata if metadata.inner("usage") else frame
    parts = told.tokens("usage", "inputTokens", "outputTokens")
    return found._replace(parts=parts, models=metadata.models)


def _ai_sdk_tool(kind: str, frame: Frame) -> Iterator[Part]:
    key = frame.key("toolCallId")
    if key is None:
        return
    if kind in ("tool-input-start", "tool-input-available", "tool-input-error"):
        yield ToolCalled(key, frame.name("toolName"), str(key), frame.get("input"))
    elif kind == "tool-input-delta":
        yield ToolArguments(key, frame.text("inputTextDelta"))
    elif kind == "tool-output-available":
        yield ToolResult(key, frame.get("output"))
    elif kind == "tool-output-error":
        yield ToolResult(key, frame.get("errorText"))
