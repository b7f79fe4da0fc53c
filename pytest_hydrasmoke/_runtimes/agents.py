"""Hermes Agent and Goose, in words of their own.

Hermes sends run events, with their kind in the data, or session events, named. Both repeat the
reply at their end, and run events send pieces of it once more as reasoning: the deltas have the
text. Only where there are none, since the model's provider did not stream or sent no reply at all,
the end has the agent's text.

Goose sends messages, whole or in pieces under one id, `Ping`, and `Finish` or `Error`.
"""

from __future__ import annotations

from collections.abc import Iterator

from .frame import Frame
from .generic import text_of
from .meaning import NO_MESSAGE, Meaning, Part, Reasoning, ToolCalled, ToolResult

_RUN = """
    run.started run.completed run.failed run.cancelled message.started message.delta
    message.completed tool.started tool.progress tool.completed tool.failed reasoning.available
    reasoning.delta approval.request approval.responded
"""
HERMES_RUN = frozenset(_RUN.split())
"""Values of `event` in the data of Hermes' run events."""
HERMES_NAMES = (HERMES_RUN - {"message.delta"}) | {"assistant.delta", "assistant.completed"}
"""The names of its session events."""
HERMES_PROGRESS = "hermes.tool.progress"
"""The name of an event of it that comes between OpenAI's chunks."""
GOOSE = frozenset(
    {"Message", "Finish", "Error", "Ping", "ModelChange", "Notification", "UpdateConversation"}
)
"""Goose's types."""
_REQUESTS = ("toolRequest", "frontendToolRequest")


def read_hermes(kind: str, frame: Frame) -> Meaning:
    """Return what an event of this kind means."""
    match kind:
        case "run.started":
            return Meaning(begins=True)
        case "message.delta" | "assistant.delta":
            return Meaning(frame.text("delta"))
        case "assistant.completed":
            return Meaning(whole=frame.text("content"))
        case "run.completed":
            # A session has its finish reason in the messages that it keeps.
            messages = list(frame.each("messages"))
            finish = messages[-1].word("finish_reason") if messages else None
            parts = frame.tokens("usage", "input_tokens", "output_tokens")
            return Meaning(end=True, finish=finish, whole=frame.text("output"), parts=parts)
        case "run.failed" | "run.cancelled":
            wordless = "the run was cancelled" if kind == "run.cancelled" else NO_MESSAGE
            return Meaning(error=frame.message("error") or wordless)
        case "reasoning.delta" | "reasoning.available":
            thought = frame.text("delta") or frame.text("text")
            return Meaning(parts=(Reasoning(thought, repeats=kind == "reasoning.available"),))
        case _:
            return Meaning(parts=tuple(_hermes_tool(kind, frame)))


def _hermes_tool(kind: str, frame: Frame) -> Iterator[Part]:
    name = _hermes_name(frame)
    if name is not None and kind == "tool.started":
        yield ToolCalled(name, name, arguments=frame.get("args"), new=True)
    elif name is not None and kind == "tool.completed":
        # `error` is sent for a successful tool too, as false.
        yield ToolResult(name, frame.get("result", frame.get("error") or None))


def _hermes_name(frame: Frame) -> str | None:
    """Return the tool's name; one with a leading underscore is internal to the runtime."""
    name = frame.name("tool") or frame.name("tool_name")
    return None if name is None or name.startswith("_") else name


def read_progress(frame: Frame) -> Meaning:
    """Return what an event named `HERMES_PROGRESS` means."""
    name, key = _hermes_name(frame), frame.key("toolCallId")
    if name is None or frame.get("status") not in ("running", "completed"):
        return Meaning()
    if frame.get("status") == "completed":
        return Meaning(parts=(ToolResult(name if key is None else key, None),))
    called = ToolCalled(name, name) if key is None else ToolCalled(key, name, str(key))
    return Meaning(parts=(called,))


def read_goose(kind: str, frame: Frame) -> Meaning | None:
    """Return what an object of this type means; None for another runtime's `Message`."""
    tokens = frame.tokens("token_state", "inputTokens", "outputTokens")
    match kind:
        case "Message":
            if not isinstance(frame.get("message"), dict):
                return None
            return _message(frame.inner("message"), tokens)
        case "Finish":
            return Meaning(end=True, finish=frame.word("reason"), parts=tokens)
        case "ModelChange":
            return Meaning(parts=tokens, models=frame.models)
        case "Error":
            error = frame.message("error", "message")
            return Meaning(error=error or NO_MESSAGE, parts=tokens)
        case _:
            return Meaning(parts=tokens)


def _message(message: Frame, tokens: tuple[Part, ...]) -> Meaning:
    metadata = message.inner("metadata")
    # A message may be for the agent alone, such as a summary of the conversation.
    text = "" if metadata.get("userVisible") is False else text_of(message)
    return Meaning(text, parts=(*_content(message), *tokens))


def _content(message: Frame) -> Iterator[Part]:
    for content in message.each("content"):
        key = content.key("id")
        if content.get("type") == "thinking":
            yield Reasoning(content.text("thinking"))
        elif content.get("type") in _REQUESTS and key is not None:
            call = content.inner("toolCall")
            if call.get("status") == "error":
                continue  # Goose could not read what its model asks for, and calls nothing.
            value = call.inner("value") or call
            # It leaves them out where there are none.
            yield ToolCalled(key, value.name("name"), str(key), value.get("arguments") or {})
        elif content.get("type") == "toolResponse" and key is not None:
            result = content.inner("toolResult")
            yield ToolResult(key, result.get("value", {**result}))
