"""OpenAI's Responses: `response.*` objects; `.done` objects and items repeat earlier content."""

from __future__ import annotations

from collections.abc import Iterator

from .meaning import NO_MESSAGE, Meaning
from .parts import Part, Reasoning, Tokens, ToolArguments, ToolCalled, ToolResult
from .values import Frame, frame_of, frames_in, key_in, message_of, text_in, word_in

NAME = "OpenAI Responses"

PREFIX = "response."


def read(kind: str, frame: Frame) -> Meaning:
    """Return what an object of this type means."""
    response = frame_of(frame.get("response")) or {}
    if kind == "response.output_text.delta":
        return Meaning(text_in(frame.get("delta")), runtime=NAME)
    # One name for all ends: the response's status says which it is.
    end = word_in(response.get("status")) or "completed"
    if kind != "response.done":
        end = kind.removeprefix(PREFIX)
    if end == "completed":
        last: Frame = [{}, *frames_in(response.get("output"))][-1]
        if last.get("type") == "function_call":
            # An agent answers it and goes on with another response, or has died in its tool.
            return Meaning(end=True, of_message=True, finish="tool_calls", runtime=NAME)
        return Meaning(end=True, runtime=NAME)
    if end == "incomplete":
        details = frame_of(response.get("incomplete_details")) or {}
        finish = word_in(details.get("reason")) or end
        return Meaning(end=True, finish=finish, runtime=NAME)
    if end in ("failed", "cancelled"):
        error = message_of(response.get("error")) or message_of(frame.get("error"))
        wordless = "the response was cancelled" if end == "cancelled" else NO_MESSAGE
        return Meaning(error=error or wordless, runtime=NAME)
    return Meaning(begins=kind == "response.created", runtime=NAME)


def parts(kind: str, frame: Frame) -> Iterator[Part]:
    """Yield the content of an object of this type beside text."""
    item = frame_of(frame.get("item")) or {}
    if kind in ("response.reasoning_text.delta", "response.reasoning_summary_text.delta"):
        yield Reasoning(text_in(frame.get("delta")))
    elif kind in ("response.output_item.added", "response.output_item.done"):
        yield from _item(item)
    elif kind.startswith("response.function_call_arguments."):
        key = key_in(frame.get("item_id")) or key_in(frame.get("output_index")) or 0
        if kind.endswith(".delta"):
            yield ToolArguments(key, text_in(frame.get("delta")))
        else:
            yield ToolCalled(key, arguments=frame.get("arguments"))
    elif kind in ("response.completed", "response.incomplete", "response.done"):
        response = frame_of(frame.get("response")) or {}
        usage = frame_of(response.get("usage"))
        if usage is not None:
            yield Tokens(usage.get("input_tokens"), usage.get("output_tokens"))


def _item(item: Frame) -> Iterator[Part]:
    call_id = word_in(item.get("call_id"))
    if item.get("type") == "function_call":
        key = key_in(item.get("id")) or call_id or 0
        # At its beginning it has no arguments yet, or an empty text.
        arguments = item.get("arguments") or None
        yield ToolCalled(key, word_in(item.get("name")), call_id, arguments)
    elif item.get("type") == "function_call_output" and call_id is not None:
        yield ToolResult(call_id, item.get("output"))
